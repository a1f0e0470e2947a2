// Who comes back.
import type { Retention as Found } from '../answers.ts'
import { Answer, DEMO, Empty, useAnswer } from '../asking.tsx'
import { Cohorts } from '../charts/cohorts.tsx'
import { Card, Choice, Receipt } from '../parts.tsx'
import { conditions, Filters } from '../filters.tsx'
import { parameter, since } from '../route.ts'
import { segment } from '../segments.tsx'

export function Retention() {
  const period = parameter('period') || 'day'
  const days = parameter('by') || 'calendar'
  const cohorts = days === 'rolling' ? 'first_time' : parameter('who') || 'first_time'
  const body = { window: since(), period, days, cohorts, periodCount: 7, ...segment(conditions()) }
  const retention = useAnswer<Found>('/api/analytics/retention', body)
  return (
    <div class="grid">
      <Filters of="users with an event" />
      <Card
        title="Who comes back"
        isWide
        side={
          <div class="find">
            <Choice label="By" name="period" value={period} options={['day', 'week', 'month']} />
            <Choice label="of" name="by" value={days} options={[['calendar', 'the calendar'], ['rolling', '24-hour spans']]} />
            {days === 'calendar' && <Choice label="for" name="who" value={cohorts} options={[['first_time', 'new users'], ['recurring', 'all users']]} />}
          </div>
        }
      >
        <Answer of={retention}>
          {({ cohorts: found, receipt }) => (
            <>
              {found.some(({ userCount }) => userCount) ? <Cohorts cohorts={found} period={period} /> : <Empty command={DEMO}>Nobody began in these days. To see a mesh at work:</Empty>}
              <Receipt of={receipt} question="retention" body={body} />
            </>
          )}
        </Answer>
      </Card>
    </div>
  )
}
