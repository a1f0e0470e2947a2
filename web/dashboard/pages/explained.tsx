// What the watch knows beside an incident: the slices that explain it, the money that is missing, and what changed before it.
import type { Insight, InsightSlice, WatchedInsight } from '../answers.ts'
import { figure } from '../charts/unusual.tsx'
import { incidents } from '../live.ts'
import { Table } from '../parts.tsx'
import { named, number, share } from '../words.ts'
import { moment } from './watched.tsx'

export function Explained({ of }: { of: Insight }) {
  const its = incidents.value.find((each) => isSame(each, of))
  if (!its) return null
  const { slices, missingMoney, changes } = its
  return (
    <>
      {missingMoney.length > 0 && <p>About {missingMoney.map(({ currency, amount }) => `${number(amount)} ${currency}`).join(', ')} is missing.</p>}
      {slices.length > 0 && (
        <Table
          caption="What explains it"
          rows={slices}
          columns={[
            { name: 'Where', of: place },
            { name: 'Figure', of: ({ metric }) => named(figure(metric)) },
            { name: 'Observed', of: ({ observed }) => number(observed), isNumber: true },
            { name: 'Expected', of: ({ expected }) => number(expected), isNumber: true },
            { name: 'Share of it', of: ({ contribution }) => share(contribution), isNumber: true },
          ]}
        />
      )}
      {changes.length > 0 && (
        <Table
          caption="What changed in the two hours before"
          rows={changes}
          columns={[
            { name: 'When', of: ({ time }) => moment(time) },
            { name: 'What', of: ({ kind, name }) => `${named(kind)}: ${name}` },
            { name: 'More', of: ({ detail }) => detail },
          ]}
        />
      )}
    </>
  )
}

const place = ({ field, value, secondField, secondValue }: InsightSlice): string =>
  [`${named(field)}: ${value}`, ...(secondField ? [`${named(secondField)}: ${secondValue}`] : [])].join(' · ')

/** Filters may show less of an incident, and the window another part. */
const isSame = (one: WatchedInsight, other: Insight): boolean => one.opened === other.opened && one.parts[0]?.metric === other.parts[0]?.metric
