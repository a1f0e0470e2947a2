// What the watch tells now: incidents that are open or that nobody has seen, and what one can do about them.
import type { InsightPart, WatchedInsight } from '../answers.ts'
import { figure } from '../charts/unusual.tsx'
import { acknowledge, snooze, trouble } from '../incidents.ts'
import { alarms, incidents, useIncidents } from '../live.ts'
import { Card, Level, Table } from '../parts.tsx'
import { clock, day, dollars } from '../words.ts'

const SHOWN = 8
const TWO_DAYS_MS = 1728e5

/** What is pushed. */
export function Live() {
  useIncidents()
  return (
    <>
      <Alarms />
      <Unseen />
    </>
  )
}

function Alarms() {
  const recent = alarms.value.filter(({ found }) => Date.now() - Date.parse(found) < TWO_DAYS_MS)
  if (!recent.length) return null
  return (
    <Card title="Budgets" isWide>
      <ul role="status" aria-label="Budgets">
        {recent.map(({ percent, day: of, usedUsd, dailyUsd, found }) => (
          <li>{moment(found)}: {percent < 100 ? `${percent} %` : 'All'} of the budget of {of.slice(0, 10)} was used, {dollars(usedUsd)} of {dollars(dailyUsd)}.</li>
        ))}
      </ul>
    </Card>
  )
}

function Unseen() {
  const rows = incidents.value.filter(({ closed, acknowledged }) => !closed || !acknowledged).slice(0, SHOWN)
  if (!rows.length) return null
  return (
    <Card title="Open or not seen yet" isWide>
      <Table
        caption="Incidents that are open or not seen"
        rows={rows}
        columns={[
          { name: 'Since', of: ({ opened }) => moment(opened) },
          { name: 'Incident', of: ({ parts }) => said(parts) },
          { name: 'Severity', of: ({ severity }) => <Level level={severity} /> },
          { name: 'State', of: (row) => `${row.closed ? 'Closed' : 'Open'}${row.acknowledged ? ', seen' : ''}${isSnoozed(row) ? `, snoozed: ${row.snoozeReason}` : ''}` },
          {
            name: 'Do',
            of: (row) => (
              <>
                {!row.acknowledged && <button type="button" onClick={() => acknowledge(row.insightId)}>Seen</button>}{' '}
                <button type="button" onClick={() => snoozed(row)}>{isSnoozed(row) ? 'Tell again' : 'Snooze a day'}</button>
              </>
            ),
          },
        ]}
      />
      {trouble.value && <p class="stale" role="status">{trouble.value}</p>}
    </Card>
  )
}

function snoozed(row: WatchedInsight): void {
  const reason = isSnoozed(row) ? '' : prompt('Why not tell of it for a day?')
  if (reason !== null) void snooze(row.insightId, reason)
}

const isSnoozed = ({ snoozedUntil }: WatchedInsight): boolean => !!snoozedUntil && Date.parse(snoozedUntil) > Date.now()

/** What was unusual, in words. */
export const said = (parts: readonly InsightPart[]): string =>
  (['above', 'below'] as const)
    .flatMap((side) => {
      const names = parts.filter(({ direction }) => direction === side).map(({ metric }) => figure(metric))
      return names.length ? `${side === 'above' ? 'more' : 'fewer'} ${[...new Set(names)].join(', ')}` : []
    })
    .join('; ')

export const moment = (text: string): string => `${day(text)} ${clock(text)}`
