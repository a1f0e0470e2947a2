// A measure with its interval over time. Intervals of time with too few outcomes have none.
import type { CalibrationFigure, CalibrationSpan } from '../answers.ts'
import { Chart, Drawing } from '../parts.tsx'
import { day, number, share } from '../words.ts'

const HEIGHT = 140
const LEFT = 92
const BOTTOM = 22

export function Spans(props: { title: string; summary: string; spans: readonly CalibrationSpan[]; of: (span: CalibrationSpan) => CalibrationFigure | null; said: (value: number) => string }) {
  const { title, summary, spans, of, said } = props
  const known = spans.flatMap((span) => of(span) ?? [])
  const top = Math.max(0.05, ...known.map(({ upper }) => upper))
  const bottom = Math.min(0, ...known.map(({ lower }) => lower))
  const told = (span: CalibrationSpan, end: keyof CalibrationFigure): string => {
    const figure = of(span)
    return figure ? said(figure[end]) : ''
  }
  return (
    <Chart
      title={title}
      summary={summary}
      rows={spans}
      columns={[
        { name: 'From', of: ({ start }) => day(start) },
        { name: 'Outcomes', of: ({ knownCount }) => number(knownCount), isNumber: true },
        { name: 'Waiting', of: ({ waitingCount }) => number(waitingCount), isNumber: true },
        { name: 'Predicted', of: ({ predicted }) => (predicted === null ? '' : share(predicted)), isNumber: true },
        { name: 'Came true', of: ({ cameTrue }) => (cameTrue === null ? '' : share(cameTrue)), isNumber: true },
        { name: title, of: (span) => told(span, 'value') || 'too few', isNumber: true },
        { name: '95% interval', of: (span) => told(span, 'lower') && `${told(span, 'lower')} to ${told(span, 'upper')}`, isNumber: true },
      ]}
    >
      <Drawing>
        {(width) => {
          const x = (index: number): number => LEFT + ((index + 0.5) / spans.length) * (width - LEFT)
          const y = (value: number): number => 8 + ((top - value) / (top - bottom)) * (HEIGHT - BOTTOM - 16)
          const every = Math.ceil(spans.length / Math.max(1, Math.floor((width - LEFT) / 70)))
          return (
            <svg class="spans" width={width} height={HEIGHT} aria-hidden="true">
              {[...new Set([bottom, 0, top])].map((value) => (
                <g class="axis">
                  <line class={value ? '' : 'zero'} x1={LEFT} x2={width} y1={y(value)} y2={y(value)} />
                  <text x={LEFT - 6} y={y(value) + 4} text-anchor="end">{said(value)}</text>
                </g>
              ))}
              {spans.map((span, index) => {
                const figure = of(span)
                return (
                  <g>
                    {index % every === 0 && <text x={x(index)} y={HEIGHT - 4} text-anchor="middle">{day(span.start)}</text>}
                    {figure && (
                      <>
                        <title>{`${title} from ${day(span.start)}: ${said(figure.value)}`}</title>
                        <line class="whisker" x1={x(index)} x2={x(index)} y1={y(figure.upper)} y2={y(figure.lower)} />
                        <circle cx={x(index)} cy={y(figure.value)} r="4" />
                      </>
                    )}
                  </g>
                )
              })}
            </svg>
          )
        }}
      </Drawing>
    </Chart>
  )
}
