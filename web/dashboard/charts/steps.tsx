// The shape function of a feature: how much each of its values raises or lowers the risk, in logits.
import { Chart, Drawing } from '../parts.tsx'
import { named } from '../words.ts'

const HEIGHT = 120
const LEFT = 44

interface Step {
  /** Up to this value; infinite for the last. */
  bound: number
  logits: number
}

export interface Shape {
  feature: string
  steps: Step[]
}

/** The shape function that a paragraph of a card states, as `feature`: 0.5: +3.33, inf: -2.98; undefined if it states none. */
export function stepsOf(text: string): Shape | undefined {
  const [, feature, rest] = /^`(\w+)`: ((?:[^:,]+: [+-][\d.]+(?:, )?)+)$/.exec(text.replaceAll('\n', ' ')) ?? []
  if (!feature || !rest) return undefined
  const steps = rest.split(', ').map((each) => {
    const [bound = '', logits = ''] = each.split(': ')
    return { bound: bound === 'inf' ? Infinity : Number(bound), logits: Number(logits) }
  })
  return { feature, steps }
}

const figure = (value: number): string => (Number.isFinite(value) ? String(Number(value.toPrecision(3))) : '∞')
const signed = (value: number): string => `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(2)}`

export function Steps({ of: { feature, steps } }: { of: Shape }) {
  const least = Math.min(0, ...steps.map(({ logits }) => logits))
  const most = Math.max(0, ...steps.map(({ logits }) => logits))
  const rows = steps.map((step, index) => ({ ...step, from: steps[index - 1]?.bound }))
  return (
    <Chart
      title={named(feature)}
      summary={`${named(feature)}: from ${signed(least)} to ${signed(most)} logits in ${steps.length} steps, drawn equally wide.`}
      rows={rows}
      columns={[
        { name: 'Above', of: ({ from }) => (from === undefined ? '' : figure(from)), isNumber: true },
        { name: 'Up to', of: ({ bound }) => figure(bound), isNumber: true },
        { name: 'Logits', of: ({ logits }) => signed(logits), isNumber: true },
      ]}
    >
      <Drawing>
        {(width) => {
          const step = (width - LEFT) / steps.length
          const y = (logits: number): number => 8 + ((most - logits) / (most - least || 1)) * (HEIGHT - 36)
          const every = Math.ceil(64 / step)
          return (
            <svg width={width} height={HEIGHT} aria-hidden="true">
              {[...new Set([most, 0, least])].map((logits) => (
                <g class="axis">
                  <line x1={LEFT} x2={width} y1={y(logits)} y2={y(logits)} />
                  {(logits !== 0 || most - least < 1e-9 || (y(least) - y(0) > 12 && y(0) - y(most) > 12)) && <text x={LEFT - 6} y={y(logits) + 4} text-anchor="end">{logits ? signed(logits) : '0'}</text>}
                </g>
              ))}
              <polyline class="risk" points={steps.map(({ logits }, index) => `${LEFT + index * step},${y(logits)} ${LEFT + (index + 1) * step},${y(logits)}`).join(' ')} />
              {steps.slice(0, -1).map(({ bound }, index) => index % every === 0 && <text x={LEFT + (index + 1) * step} y={HEIGHT - 4} text-anchor="middle">{figure(bound)}</text>)}
            </svg>
          )
        }}
      </Drawing>
    </Chart>
  )
}
