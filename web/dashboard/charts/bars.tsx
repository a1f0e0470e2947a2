// Counts, one below the other.
import { Chart, Drawing } from '../parts.tsx'
import { number, share } from '../words.ts'

export interface Bar {
  name: string
  value: number
  /** What else is to be said, such as a time. */
  note?: string
}

/** Shares are of the first, as in a funnel, or of all together. */
export function Bars({ title, bars, summary, areSharesOfAll }: { title: string; bars: readonly Bar[]; summary: string; areSharesOfAll?: boolean }) {
  const most = Math.max(1, ...bars.map(({ value }) => value))
  const whole = areSharesOfAll ? bars.reduce((sum, { value }) => sum + value, 0) : (bars[0]?.value ?? 0)
  const columns = [
    { name: 'Of', of: (bar: Bar) => bar.name },
    { name: 'Count', of: (bar: Bar) => number(bar.value), isNumber: true },
    { name: areSharesOfAll ? 'Of all' : 'Of the first', of: (bar: Bar) => (whole ? share(bar.value / whole) : ''), isNumber: true },
    { name: 'Note', of: (bar: Bar) => bar.note ?? '' },
  ]
  return (
    <Chart title={title} summary={summary} rows={bars} columns={columns}>
      <ol class="bars">
        {bars.map(({ name, value, note }) => (
          <li>
            <span>{name}</span>
            <span class="figure">{number(value)}{whole > 0 && <small> {share(value / whole)}</small>}</span>
            <Drawing>{(width) => <svg width={width} height="16" aria-hidden="true"><rect class="ground" width={width} height="16" rx="4" /><rect class="bar" width={(value / most) * width} height="16" rx="4" /></svg>}</Drawing>
            {note && <small class="note-of">{note}</small>}
          </li>
        ))}
      </ol>
    </Chart>
  )
}
