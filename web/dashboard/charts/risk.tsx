// A user's exit risk over time, by their decisions.
import type { Entry } from '../answers.ts'
import { Chart, Drawing, Level } from '../parts.tsx'
import { number, time } from '../words.ts'

const HEIGHT = 160
const LEFT = 32
// Where the levels medium, high and critical begin.
const BOUNDS = [40, 70, 90]

export function RiskCurve({ entries }: { entries: readonly Entry[] }) {
  const decided = entries.flatMap(({ time: at, decision }) => (decision ? [{ at: Date.parse(at), time: at, decision }] : []))
  const first = decided[0]
  const last = decided.at(-1)
  if (!first || !last) return null
  const most = decided.reduce((one, other) => (other.decision.score > one.decision.score ? other : one))
  const summary = `The risk is ${number(last.decision.score)} (${last.decision.level}); it was highest, ${number(most.decision.score)}, on ${time(most.time)}.`
  const columns = [
    { name: 'Time', of: (row: (typeof decided)[0]) => time(row.time) },
    { name: 'Risk', of: (row: (typeof decided)[0]) => number(row.decision.score), isNumber: true },
    { name: 'Level', of: (row: (typeof decided)[0]) => <Level level={row.decision.level} /> },
    { name: 'Help', of: (row: (typeof decided)[0]) => (row.decision.interventionId ? 'offered' : '') },
  ]
  return (
    <Chart title="Exit risk" summary={summary} rows={decided} columns={columns}>
      <Drawing>
        {(width) => {
          // By decision and not by the clock: what matters happens within minutes, days apart.
          const x = (index: number): number => LEFT + (decided.length < 2 ? 0.5 : index / (decided.length - 1)) * (width - LEFT - 10)
          const y = (score: number): number => 8 + (1 - score / 100) * (HEIGHT - 30)
          return (
            <svg width={width} height={HEIGHT} aria-hidden="true">
              {[0, ...BOUNDS, 100].map((score) => (
                <g class="axis">
                  <line x1={LEFT} x2={width} y1={y(score)} y2={y(score)} />
                  <text x={LEFT - 6} y={y(score) + 4} text-anchor="end">{score}</text>
                </g>
              ))}
              <polyline class="risk" points={decided.map(({ decision }, index) => `${x(index)},${y(decision.score)}`).join(' ')} />
              {decided.map(({ decision, time: at }, index) => (
                <circle class={`dot ${decision.level}`} cx={x(index)} cy={y(decision.score)} r={decision.interventionId ? 6 : 3.5}>
                  <title>{`${time(at)}: ${number(decision.score)}${decision.interventionId ? ', help offered' : ''}`}</title>
                </circle>
              ))}
              <text class="tick" x={LEFT} y={HEIGHT - 4}>{time(first.time)}</text>
              <text class="tick" x={width - 4} y={HEIGHT - 4} text-anchor="end">{time(last.time)}</text>
            </svg>
          )
        }}
      </Drawing>
    </Chart>
  )
}
