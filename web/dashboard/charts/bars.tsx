// Counts one below the other, as shares of the first or the greatest.
import { Chart, Drawing } from '../parts.tsx'
import { number, share } from '../words.ts'

export interface Bar {
  name: string
  value: number
  /** What else is to be said, such as a time. */
  note?: string
}

export function Bars({ title, bars, summary }: { title: string; bars: readonly Bar[]; summary: string }) {
  const most = Math.max(1, ...bars.map(({ value }) => value))
  const first = bars[0]?.value ?? 0
  const columns = [
    { name: 'Of', of: (bar: Bar) => bar.name },
    { name: 'Count', of: (bar: Bar) => number(bar.value), isNumber: true },
    { name: 'Of the first', of: (bar: Bar) => (first ? share(bar.value / first) : ''), isNumber: true },
    { name: 'Note', of: (bar: Bar) => bar.note ?? '' },
  ]
  return (
    <Chart title={title} summary={summary} rows={bars} columns={columns}>
      <ol class="bars">
        {bars.map(({ name, value, note }) => (
          <li>
            <span>{name}</span>
            <span class="figure">{number(value)}{first > 0 && <small> {share(value / first)}</small>}</span>
            <Drawing>{(width) => <svg width={width} height="16" aria-hidden="true"><rect class="ground" width={width} height="16" rx="4" /><rect class="bar" width={(value / most) * width} height="16" rx="4" /></svg>}</Drawing>
            {note && <small class="note-of">{note}</small>}
          </li>
        ))}
      </ol>
    </Chart>
  )
}
