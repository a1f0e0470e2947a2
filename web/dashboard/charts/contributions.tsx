// What raises and lowers a score, in points.
import type { Indicator } from '../answers.ts'
import { Drawing } from '../parts.tsx'
import { named, number } from '../words.ts'

export function Contributions({ of }: { of: readonly Indicator[] }) {
  const shown = of.filter(({ contribution }) => Math.abs(contribution) >= 0.05).sort((one, other) => Math.abs(other.contribution) - Math.abs(one.contribution))
  const most = Math.max(1, ...shown.map(({ contribution }) => Math.abs(contribution)))
  return (
    <ul class="contributions">
      {shown.map(({ name, contribution, reason }) => (
        <li>
          <span>{reason || named(name)} <small>{named(name)}</small></span>
          <span class="figure">{contribution > 0 && '+'}{number(contribution)}</span>
          <Drawing>
            {(width) => (
              <svg width={width} height="6" aria-hidden="true">
                <rect class={contribution > 0 ? 'raises' : 'lowers'} width={(Math.abs(contribution) / most) * width} height="6" rx="2" />
              </svg>
            )}
          </Drawing>
        </li>
      ))}
    </ul>
  )
}
