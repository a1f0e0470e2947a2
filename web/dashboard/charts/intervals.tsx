// Effects with the intervals they lie in, against no effect.
import type { Lift } from '../answers.ts'
import { Chart, Drawing } from '../parts.tsx'
import { named, number } from '../words.ts'

export function Intervals({ lifts }: { lifts: readonly Lift[] }) {
  const all = lifts[0]
  const summary = !all
    ? 'Nothing is known.'
    : all.isKnown
      ? `Help changes the conversion rate by ${points(all.lift)}, between ${points(all.lower)} and ${points(all.upper)}.`
      : `Not known yet: ${number(all.treatedCount)} users were helped, ${number(all.holdoutCount)} held out.`
  const reach = Math.max(0.05, ...lifts.filter(({ isKnown }) => isKnown).flatMap(({ lower, upper }) => [Math.abs(lower), Math.abs(upper)]))
  return (
    <Chart
      title="Lift"
      summary={summary}
      rows={lifts}
      columns={[
        { name: 'Of', of: (lift) => lifted(lift) },
        { name: 'Helped', of: ({ treatedCount }) => number(treatedCount), isNumber: true },
        { name: 'converted', of: ({ treatedConversionCount }) => number(treatedConversionCount), isNumber: true },
        { name: 'Held out', of: ({ holdoutCount }) => number(holdoutCount), isNumber: true },
        { name: 'converted', of: ({ holdoutConversionCount }) => number(holdoutConversionCount), isNumber: true },
        { name: 'Lift', of: (lift) => (lift.isKnown ? points(lift.lift) : 'unknown'), isNumber: true },
        { name: 'From', of: (lift) => (lift.isKnown ? points(lift.lower) : ''), isNumber: true },
        { name: 'To', of: (lift) => (lift.isKnown ? points(lift.upper) : ''), isNumber: true },
      ]}
    >
      <ol class="bars">
        {lifts.map((lift) => (
          <li>
            <span>{lifted(lift)}</span>
            <span class="figure">{lift.isKnown ? points(lift.lift) : <small>not known yet</small>}</span>
            {lift.isKnown && <Drawing>
              {(width) => {
                const x = (value: number): number => 8 + ((value + reach) / (2 * reach)) * (width - 16)
                return (
                  <svg width={width} height="16" class="interval" aria-hidden="true">
                    <line class="zero" x1={x(0)} x2={x(0)} y1="0" y2="16" />
                    <line x1={x(lift.lower)} x2={x(lift.upper)} y1="8" y2="8" />
                    <circle cx={x(lift.lift)} cy="8" r="5" />
                  </svg>
                )
              }}
            </Drawing>}
          </li>
        ))}
      </ol>
    </Chart>
  )
}

const lifted = ({ dimension, name }: Lift): string => (dimension === 'all' ? 'Everybody' : `${named(dimension)}: ${named(name)}`)
export const points = (value: number): string => `${value > 0 ? '+' : ''}${number(value * 100)} points`
