// When key figures were unusual: incidents, the latest first, and what was watched.
import type { Insight, Insights as Found } from '../answers.ts'
import { Answer, DEMO, Empty, useAnswer } from '../asking.tsx'
import { figure, Unusual } from '../charts/unusual.tsx'
import { conditions, Filters } from '../filters.tsx'
import { Card, Level, Receipt, Table } from '../parts.tsx'
import { since } from '../route.ts'
import { segment } from '../segments.tsx'
import { counted, named, number } from '../words.ts'
import { Explained } from './explained.tsx'
import { Live, moment, said } from './watched.tsx'

const SHOWN = 20

export function Insights() {
  const body = { window: since(), where: conditions(), ...segment(), limit: SHOWN }
  const asked = useAnswer<Found>('/api/analytics/insights', body)
  return (
    <div class="grid">
      <Live />
      <Filters of="events" />
      <Answer of={asked}>
        {(found) => (
          <>
            <Card title="In short" isWide>
              <Short of={found} />
              <Receipt of={found.receipt} question="insights" body={body} />
            </Card>
            {found.incidents.map((each) => <Incident of={each} />)}
            {found.knownSince && <Card title="What was watched" isWide><Watched of={found} /></Card>}
          </>
        )}
      </Answer>
    </div>
  )
}

function Short({ of: { incidents, totalCount, knownSince, neededDays } }: { of: Found }) {
  if (!knownSince) return <Empty command={DEMO}>There is no hour to judge: nothing happened in these days or the eight weeks before. It needs {counted(neededDays, 'day')} of events to know the week. To see a mesh at work:</Empty>
  return (
    <>
      {neededDays > 0 && (
        <p class="note">It needs {counted(neededDays, 'day')} more to know the week. Until then each hour is compared with all hours since {moment(knownSince)}, and only what is far off is found.</p>
      )}
      <p>
        {totalCount ? `${counted(totalCount, 'incident')} in these days` : 'Nothing was unusual in these days'}
        {incidents.length < totalCount && `; the latest ${incidents.length} are shown`}.
      </p>
    </>
  )
}

const Watched = ({ of }: { of: Found }) => (
  <Table
    caption="Key figures that were watched, by hour"
    rows={of.metrics}
    columns={[
      { name: 'Figure', of: ({ metric }) => named(figure(metric)) },
      { name: 'Hours judged', of: ({ judgedHourCount }) => number(judgedHourCount), isNumber: true },
      { name: 'Sum of hours', of: ({ total }) => number(total), isNumber: true },
      { name: 'Incidents', of: ({ incidentCount }) => number(incidentCount), isNumber: true },
    ]}
  />
)

function Incident({ of }: { of: Insight }) {
  const { opened, closed, severity, affectedUserHours, parts } = of
  return (
    <Card title={`${moment(opened)}: ${said(parts)}`} isWide side={<Level level={severity} />}>
      <p>{closed ? `Open until ${moment(closed)}` : 'Still open'}. It concerned users for {counted(affectedUserHours, 'hour')} in all.</p>
      <Explained of={of} />
      <div class="beside">{parts.map((part) => <Unusual part={part} />)}</div>
    </Card>
  )
}
