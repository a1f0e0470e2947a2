// A metric per hour around an incident: what was observed, and the band of what was usual then.
import type { InsightPart, InsightPoint } from '../answers.ts'
import { Chart, Drawing } from '../parts.tsx'
import { clock, counted, day, named, number } from '../words.ts'

const HEIGHT = 150
const LEFT = 52
const BOTTOM = 22
const HOUR = 3_600_000

export function Unusual({ part }: { part: InsightPart }) {
  const { metric, points, opened, closed, observed, expected, lower, upper, direction, peak } = part
  const name = named(figure(metric))
  const hour = (text: string): string => `${day(text)} ${clock(text)}`
  const isIn = ({ start }: InsightPoint): boolean => start >= opened && (!closed || start < closed)
  const usual = ({ lower: low, upper: high }: InsightPoint): string => (low === null || high === null ? '' : `${number(low)} to ${number(high)}`)
  return (
    <Chart
      title={`${name} from ${hour(opened)}`}
      summary={`${name}: ${direction === 'above' ? 'more' : 'fewer'} than expected, open for ${counted(hours(part), 'hour')}. Furthest off at ${hour(peak)}: ${number(observed)}, and ${number(expected)} expected (usual are ${number(lower)} to ${number(upper)}).`}
      rows={points}
      columns={[
        { name: 'From', of: ({ start }) => hour(start) },
        { name: 'Observed', of: (point) => number(point.observed), isNumber: true },
        { name: 'Expected', of: (point) => (point.expected === null ? '' : number(point.expected)), isNumber: true },
        { name: 'Usual', of: usual, isNumber: true },
        { name: 'Incident', of: (point) => (isIn(point) ? 'open' : '') },
      ]}
    >
      <Drawing>
        {(width) => {
          const top = Math.max(1, ...points.map((point) => Math.max(point.observed, point.upper ?? 0)))
          const step = (width - LEFT - 12) / Math.max(1, points.length - 1)
          const x = (index: number): number => LEFT + index * step
          const y = (value: number): number => 8 + (1 - value / top) * (HEIGHT - BOTTOM - 8)
          const along = (of: (point: InsightPoint) => number | null): string[] =>
            points.flatMap((point, index) => {
              const value = of(point)
              return value === null ? [] : `${x(index)},${y(value)}`
            })
          const first = points.findIndex(isIn)
          const count = points.filter(isIn).length
          const every = Math.ceil(points.length / Math.max(2, Math.floor(width / 110)))
          return (
            <svg class="unusual" width={width} height={HEIGHT} aria-hidden="true">
              <rect class="drop" x={Math.max(LEFT, x(first) - step / 2)} y={8} width={count * step} height={y(0) - 8} />
              <polygon class="usual" points={[...along((point) => point.upper), ...along((point) => point.lower).reverse()].join(' ')} />
              {[0, top].map((value) => (
                <g class="axis">
                  <line x1={LEFT} x2={width} y1={y(value)} y2={y(value)} />
                  <text x={LEFT - 6} y={y(value) + 4} text-anchor="end">{number(value)}</text>
                </g>
              ))}
              <polyline class="expected" points={along((point) => point.expected).join(' ')} />
              <g class="line"><polyline points={along((point) => point.observed).join(' ')} /></g>
              {points.map((point, index) => (
                <g>
                  {index % every === 0 && index * step < width - LEFT - 60 && <text class="tick" x={x(index)} y={HEIGHT - 4} text-anchor="start">{hour(point.start)}</text>}
                  <circle cx={x(index)} cy={y(point.observed)} r={isIn(point) ? 3 : 1.5}>
                    <title>{`${hour(point.start)}: ${number(point.observed)}${usual(point) && `, usual are ${usual(point)}`}`}</title>
                  </circle>
                </g>
              ))}
            </svg>
          )
        }}
      </Drawing>
    </Chart>
  )
}

/** A metric in words. */
export const figure = (metric: string): string => (metric === 'shown' || metric === 'accepted' ? `help ${metric}` : metric)

/** How long an incident was open, or is until the last hour that is shown. */
function hours({ opened, closed, points }: InsightPart): number {
  const end = closed ? Date.parse(closed) : Date.parse(points.at(-1)?.start ?? opened) + HOUR
  return Math.round((end - Date.parse(opened)) / HOUR)
}
