// What moved, one below the other: how far its values did, against the usual thresholds.
import type { DriftItem } from '../answers.ts'
import { Chart, Drawing } from '../parts.tsx'
import { named, number, share } from '../words.ts'

const LITTLE = 0.1
const FAR = 0.25

export function Moved({ title, summary, items }: { title: string; summary: string; items: readonly DriftItem[] }) {
  const most = Math.max(2 * FAR, ...items.map(({ psi }) => psi))
  return (
    <Chart
      title={title}
      summary={summary}
      rows={items}
      columns={[
        { name: 'Of', of: ({ name }) => named(name) },
        { name: 'PSI', of: ({ psi }) => psi.toFixed(2), isNumber: true },
        { name: 'Moved, points', of: ({ moved }) => number(moved), isNumber: true },
        { name: 'Mean before', of: ({ previousMean }) => number(previousMean), isNumber: true },
        { name: 'now', of: ({ mean }) => number(mean), isNumber: true },
        { name: 'Share before', of: ({ previousShare }) => share(previousShare), isNumber: true },
        { name: 'now', of: (item) => share(item.share), isNumber: true },
        { name: 'Moves decisions', of: ({ isNotable }) => (isNotable ? 'yes' : 'no') },
      ]}
    >
      <ol class="bars">
        {items.map((item) => (
          <li>
            <span>{named(item.name)}{item.isNotable && <> <b>moves decisions</b></>}</span>
            <span class="figure">{item.psi.toFixed(2)} <small>{verdict(item.psi)}</small></span>
            <Drawing>
              {(width) => (
                <svg width={width} height="16" aria-hidden="true">
                  <rect class="ground" width={width} height="16" rx="4" />
                  <rect class="bar" width={(item.psi / most) * width} height="16" rx="4" />
                  {[LITTLE, FAR].map((bound) => <line class="bound" x1={(bound / most) * width} x2={(bound / most) * width} y1="0" y2="16" />)}
                </svg>
              )}
            </Drawing>
            <small class="note-of">
              {number(item.previousMean)} points before, {number(item.mean)} now
              {item.kind === 'reason' && `; named by ${share(item.previousShare)} before, ${share(item.share)} now`}
            </small>
          </li>
        ))}
      </ol>
    </Chart>
  )
}

const verdict = (psi: number): string => (psi < LITTLE ? 'as before' : psi < FAR ? 'moved a little' : 'moved')
