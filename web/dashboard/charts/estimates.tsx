// Differences of arms to their control with the intervals they lie in, metric by metric, each as wide as its own reach.
import type { Finding } from '../answers.ts'
import { Chart, Drawing } from '../parts.tsx'
import { named, number, share } from '../words.ts'

const DIRECTIONS = { better: 'better', worse: 'worse', open: 'not known yet' }
const GUARDRAILS = { none: '', harmed: 'guardrail: harmed', safe: 'guardrail: safe', open: 'guardrail: not known yet' }

export function Estimates({ findings }: { findings: readonly Finding[] }) {
  const known = findings.filter(({ direction }) => direction !== 'open')
  const summary = known.length
    ? known.map(({ arm, metric, direction }) => `${arm} is ${direction} in ${named(metric).toLowerCase()}`).join('; ')
    : 'No difference is known beyond doubt yet'
  return (
    <Chart
      title="Differences"
      summary={`${summary}. The intervals hold however often you look.`}
      rows={findings}
      columns={[
        { name: 'Metric', of: ({ metric }) => named(metric) },
        { name: 'Arm', of: ({ arm }) => arm },
        { name: 'Units', of: ({ units }) => number(units), isNumber: true },
        { name: 'of control', of: ({ controlUnits }) => number(controlUnits), isNumber: true },
        { name: 'Mean', of: ({ mean }) => figure(mean), isNumber: true },
        { name: 'of control', of: ({ controlMean }) => figure(controlMean), isNumber: true },
        { name: 'Difference', of: ({ difference }) => signed(difference), isNumber: true },
        { name: 'From', of: ({ lower }) => signed(lower), isNumber: true },
        { name: 'To', of: ({ upper }) => signed(upper), isNumber: true },
        { name: 'Says', of: ({ direction, guardrail }) => [DIRECTIONS[direction], GUARDRAILS[guardrail]].filter(Boolean).join('; ') },
      ]}
    >
      <ol class="bars">
        {findings.map((finding) => (
          <li>
            <span>{named(finding.metric)}: {finding.arm} <small>{GUARDRAILS[finding.guardrail]}</small></span>
            <span class="figure">{finding.relative === null ? signed(finding.difference) : `${finding.relative > 0 ? '+' : ''}${share(finding.relative)}`} <small>{DIRECTIONS[finding.direction]}</small></span>
            <Line of={finding} />
          </li>
        ))}
      </ol>
    </Chart>
  )
}

function Line({ of: { difference, lower, upper } }: { of: Finding }) {
  if (difference === null || lower === null || upper === null) return null
  const reach = Math.max(Math.abs(lower), Math.abs(upper))
  return (
    <Drawing>
      {(width) => {
        const x = (value: number): number => 8 + ((value + reach) / (2 * reach)) * (width - 16)
        return (
          <svg width={width} height="16" class="interval" aria-hidden="true">
            <line class="zero" x1={x(0)} x2={x(0)} y1="0" y2="16" />
            <line x1={x(lower)} x2={x(upper)} y1="8" y2="8" />
            <circle cx={x(difference)} cy="8" r="5" />
          </svg>
        )
      }}
    </Drawing>
  )
}

const figure = (value: number | null): string => (value === null ? '' : value.toPrecision(4))
const signed = (value: number | null): string => (value === null ? '' : `${value > 0 ? '+' : ''}${value.toPrecision(3)}`)
