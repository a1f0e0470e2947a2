// Figures over time. The part of a line that may still grow is dashed.
import type { Series } from '../answers.ts'
import { Chart, Drawing } from '../parts.tsx'
import { clock, day, number } from '../words.ts'

const HEIGHT = 180
const LEFT = 44
const BOTTOM = 22

export function Lines({ title, series, interval }: { title: string; series: readonly Series[]; interval: string }) {
  const points = series[0]?.points ?? []
  const label = interval === 'hour' ? clock : day
  const most = Math.max(1, ...series.flatMap((each) => each.points.map(({ value }) => value)))
  const top = nice(most)
  const summary = series.map((each) => `${name(each)}: ${number(each.total)} in all, ${number(Math.max(0, ...each.points.map(({ value }) => value)))} at most`).join('; ')
  const columns = [
    { name: 'From', of: (index: number) => label(points[index]?.start ?? '') },
    ...series.map((each) => ({ name: name(each), isNumber: true, of: (index: number) => number(each.points[index]?.value ?? 0) })),
  ]
  return (
    <Chart title={title} summary={`${summary}.`} rows={points.map((_, index) => index)} columns={columns}>
      <Drawing>
        {(width) => {
          const x = (index: number): number => LEFT + (points.length < 2 ? 0.5 : index / (points.length - 1)) * (width - LEFT - 12)
          const y = (value: number): number => 8 + (1 - value / top) * (HEIGHT - BOTTOM - 8)
          const every = Math.ceil(points.length / Math.max(2, Math.floor(width / 90)))
          return (
            <svg width={width} height={HEIGHT} aria-hidden="true">
              {[0, top / 2, top].map((value) => (
                <g class="axis">
                  <line x1={LEFT} x2={width} y1={y(value)} y2={y(value)} />
                  <text x={LEFT - 6} y={y(value) + 4} text-anchor="end">{number(value)}</text>
                </g>
              ))}
              {points.map(({ start }, index) => index % every === 0 && (
                <text class="tick" x={x(index)} y={HEIGHT - 4} text-anchor={index === 0 ? 'start' : index === points.length - 1 ? 'end' : 'middle'}>{label(start)}</text>
              ))}
              {series.map((each, order) => {
                const known = each.points.filter(({ isUnfinished }) => !isUnfinished).length
                const at = ({ value }: { value: number }, index: number): string => `${x(index)},${y(value)}`
                const all = each.points.map(at)
                return (
                  <g class={`line s${order % 6}`}>
                    <polyline points={all.slice(0, known).join(' ')} />
                    <polyline class="open" points={all.slice(Math.max(0, known - 1)).join(' ')} />
                    {each.points.map((point, index) => (
                      <circle cx={x(index)} cy={y(point.value)} r={points.length > 60 ? 1.5 : 3}>
                        <title>{`${name(each)}, ${label(point.start)}: ${number(point.value)}`}</title>
                      </circle>
                    ))}
                  </g>
                )
              })}
            </svg>
          )
        }}
      </Drawing>
      {series.length > 1 && (
        <ul class="legend">
          {series.map((each, index) => <li class={`s${index % 6}`}><svg width="12" height="12" aria-hidden="true"><circle cx="6" cy="6" r="5" /></svg> {name(each)}</li>)}
        </ul>
      )}
    </Chart>
  )
}

const name = (series: Series): string => (series.isOther ? 'Other' : series.name || 'All')

/** The least round number that is not below. */
function nice(value: number): number {
  const unit = 10 ** Math.floor(Math.log10(value))
  return [1, 2, 4, 5, 10].map((step) => step * unit).find((step) => step >= value) ?? value
}
