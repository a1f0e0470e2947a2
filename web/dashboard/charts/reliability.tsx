// What was predicted against what came true. Where a model is right, points lie on the dashed line.
import type { CalibrationBin } from '../answers.ts'
import { Chart, Drawing } from '../parts.tsx'
import { number, share } from '../words.ts'

const LEFT = 44
const BOTTOM = 24
const COUNTS = 40
const MOST = 420

export function Reliability({ bins }: { bins: readonly CalibrationBin[] }) {
  const right = bins.filter(({ predicted, cameTrue }) => cameTrue.lower <= predicted && predicted <= cameTrue.upper).length
  const most = Math.max(1, ...bins.map(({ knownCount }) => knownCount))
  return (
    <Chart
      title="Reliability"
      summary={`In ${right} of ${bins.length} groups of similar probability, the probability lies in the interval of what came true.`}
      rows={bins}
      columns={[
        { name: 'Predicted', of: ({ predicted }) => share(predicted), isNumber: true },
        { name: 'Came true', of: ({ cameTrue }) => share(cameTrue.value), isNumber: true },
        { name: '95% interval', of: ({ cameTrue }) => `${share(cameTrue.lower)} to ${share(cameTrue.upper)}`, isNumber: true },
        { name: 'Predictions', of: ({ knownCount }) => number(knownCount), isNumber: true },
        { name: 'Users', of: ({ userCount }) => number(userCount), isNumber: true },
      ]}
    >
      <Drawing>
        {(room) => {
          const width = Math.min(room, MOST)
          const side = width - LEFT - 16
          const x = (value: number): number => LEFT + value * side
          const y = (value: number): number => 8 + (1 - value) * side
          const ground = y(0) + COUNTS + 8
          return (
            <svg class="reliability" width={width} height={ground + BOTTOM} aria-hidden="true">
              {[0, 0.5, 1].map((value) => (
                <g class="axis">
                  <line x1={x(0)} x2={x(1)} y1={y(value)} y2={y(value)} />
                  <text x={LEFT - 6} y={y(value) + 4} text-anchor="end">{share(value)}</text>
                  <text x={x(value)} y={ground + 16} text-anchor="middle">{share(value)}</text>
                </g>
              ))}
              <line class="right" x1={x(0)} x2={x(1)} y1={y(0)} y2={y(1)} />
              {bins.map(({ predicted, cameTrue, knownCount }) => (
                <g>
                  <title>{`Predicted ${share(predicted)}, came true ${share(cameTrue.value)}, ${number(knownCount)} predictions`}</title>
                  <rect class="bar" x={x(predicted) - 3} width="6" y={ground - (knownCount / most) * COUNTS} height={(knownCount / most) * COUNTS} />
                  <line class="whisker" x1={x(predicted)} x2={x(predicted)} y1={y(cameTrue.lower)} y2={y(cameTrue.upper)} />
                  <circle cx={x(predicted)} cy={y(cameTrue.value)} r="5" />
                </g>
              ))}
            </svg>
          )
        }}
      </Drawing>
      <p class="caption">Across: what was predicted. Up: what came true, with its 95% interval. Bars below: how many predictions.</p>
    </Chart>
  )
}
