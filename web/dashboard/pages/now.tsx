// What happens now: key figures, users at risk, struggles, help.
import type { Kpi, Kpis, List, Row, Struggles, Trend } from '../answers.ts'
import { Answer, DEMO, Empty, useAnswer } from '../asking.tsx'
import { Lines } from '../charts/lines.tsx'
import { happened, incidents, isLive, risks, useIncidents, useLive } from '../live.ts'
import { Card, Level, Receipt, Table, User } from '../parts.tsx'
import { days, since, to } from '../route.ts'
import { named, number, seconds, share, time } from '../words.ts'
import { Happening } from './happening.tsx'

const EVERY_SECONDS = 5
// Lists lag behind by the archive's period: while what happens is pushed, they need not be asked for as often.
const EVERY_SECONDS_LIVE = 15
const SHOWN_AT_RISK = 12

type Risky = Pick<Row, 'userId' | 'level' | 'score' | 'reason'>

export function Now() {
  useLive()
  useIncidents()
  const every = isLive.value ? EVERY_SECONDS_LIVE : EVERY_SECONDS
  const window = since()
  const interval = days.value === 1 ? 'hour' : 'day'
  const trend = { measure: 'users', interval, window }
  const atRisk = { kind: 'users_at_risk', limit: SHOWN_AT_RISK, window }
  const offers = { kind: 'offers', limit: 12, window }
  const kpis = useAnswer<Kpis>('/api/analytics/kpis', { window }, every)
  const users = useAnswer<Trend>('/api/analytics/trends', trend, every)
  const risky = useAnswer<List>('/api/analytics/lists', atRisk, every)
  const struggles = useAnswer<Struggles>('/api/analytics/struggles', { limit: 8, window }, every)
  const help = useAnswer<List>('/api/analytics/lists', offers, every)
  return (
    <>
      <Answer of={kpis}>
        {({ kpis: found, receipt }) =>
          found.find(({ name }) => name === 'events')?.value ? (
            <>
              <p class="live">{receipt.watermark ? `As of ${time(receipt.watermark)}; looked at every ${every} seconds.` : ''}</p>
              <Tiles kpis={found} />
              <Receipt of={receipt} question="kpis" body={{ window }} />
            </>
          ) : (
            <Empty command={DEMO}>Nothing has been archived in these days. Events are here some seconds after they were sent. To see a mesh at work:</Empty>
          )
        }
      </Answer>
      <div class="grid">
        <Happening />
        <Card title="Users" isWide>
          <Answer of={users}>
            {({ series, receipt }) => (
              <>
                <Lines title="Users" series={series} interval={interval} />
                <Receipt of={receipt} question="trends" body={trend} />
              </>
            )}
          </Answer>
        </Card>
        <Card title="Users at risk">
          <Answer of={risky}>
            {({ rows, totalCount, receipt }) => (
              <>
                {rows.length || atRiskNow().length ? (
                  <Table
                    caption={`Users at risk, ${number(totalCount)} in all`}
                    rows={withLatest(rows)}
                    columns={[
                      { name: 'Risk', of: ({ level, score }) => <Level level={level} score={score} /> },
                      { name: 'User', of: ({ userId }) => <User id={userId} /> },
                      { name: 'Why', of: ({ reason }) => reason },
                    ]}
                  />
                ) : (
                  <Empty>Nobody is at medium risk or above.</Empty>
                )}
                <Receipt of={receipt} question="lists" body={atRisk} />
              </>
            )}
          </Answer>
        </Card>
        <Card title="Help and what came of it">
          <Answer of={help}>
            {({ rows, totalCount, receipt }) => (
              <>
                {rows.length ? (
                  <Table
                    caption={`Offers of help, ${number(totalCount)} in all`}
                    rows={rows}
                    columns={[
                      { name: 'Time', of: (row) => time(row.time) },
                      { name: 'User', of: ({ userId }) => <User id={userId} /> },
                      { name: 'Outcome', of: ({ outcome }) => (outcome ? named(outcome) : 'None yet') },
                    ]}
                  />
                ) : (
                  <Empty>No help was offered in these days. The policy says when it is.</Empty>
                )}
                <Receipt of={receipt} question="lists" body={offers} />
              </>
            )}
          </Answer>
        </Card>
        <Card title="Struggles" isWide>
          <Answer of={struggles}>
            {({ struggles: rows, receipt }) => (
              <>
                {rows.length ? (
                  <Table
                    caption="Struggles"
                    rows={rows}
                    columns={[
                      { name: 'Kind', of: ({ kind }) => named(kind) },
                      { name: 'Page', of: ({ page }) => page },
                      { name: 'Element', of: ({ target }) => target },
                      { name: 'Struggles', of: ({ struggleCount }) => number(struggleCount), isNumber: true },
                      { name: 'Users', of: ({ userCount }) => number(userCount), isNumber: true },
                      { name: 'Last', of: ({ lastTime }) => time(lastTime) },
                    ]}
                  />
                ) : (
                  <Empty>Nobody struggled.</Empty>
                )}
                <Receipt of={receipt} question="struggles" body={{ limit: 8, window }} />
              </>
            )}
          </Answer>
        </Card>
      </div>
    </>
  )
}

const atRiskNow = (): Risky[] =>
  risks(happened.value)
    .filter(({ level }) => level !== 'low')
    .map(({ userId, level, score, reason }) => ({ userId, level, score, reason: struggleOf(userId) ?? named(reason ?? '') }))

const struggleOf = (user: string): string | undefined => happened.value.find(({ userId, kind }) => userId === user && kind === 'struggle')?.why

/** Users at risk as they were archived, and before them those of whom something newer was pushed. */
function withLatest(rows: readonly Risky[]): Risky[] {
  const pushed = new Set(happened.value.map(({ userId }) => userId))
  return [...atRiskNow(), ...rows.filter(({ userId }) => !pushed.has(userId))].slice(0, SHOWN_AT_RISK)
}

const AS_SHARE = new Set(['conversion_rate', 'abandonment_rate'])
const SHOWN = ['events', 'users', 'sessions', 'offered', 'shown', 'accepted', 'converted', 'conversion_rate', 'abandonment_rate', 'time_to_help_seconds']

function Tiles({ kpis }: { kpis: readonly Kpi[] }) {
  const sum = (name: string, has = (_: Kpi): boolean => true): Kpi => {
    const of = kpis.filter((kpi) => kpi.name === name && has(kpi))
    const total = (one: 'value' | 'previousValue'): number => of.reduce((all, kpi) => all + (kpi[one] ?? 0), 0)
    return { name, of: '', value: total('value'), previousValue: total('previousValue') }
  }
  const tiles = [
    ...kpis.filter(({ name }) => SHOWN.includes(name)),
    sum('struggles'),
    { ...sum('users_at_level', ({ of }) => of === 'high' || of === 'critical'), name: 'users_at_high_risk' },
    ...kpis.filter(({ name }) => name === 'revenue'),
  ]
  return (
    <dl class="tiles">
      {tiles.map((kpi) => (
        <div data-kpi={kpi.name}>
          <dt>{named(kpi.name.replace('_seconds', ''))}{kpi.of && ` in ${kpi.of}`}</dt>
          <dd>{shown(kpi.name, kpi.value)}</dd>
          <dd class="before">{kpi.previousValue === null ? 'nothing before' : `${shown(kpi.name, kpi.previousValue)} before`}</dd>
        </div>
      ))}
      <div data-kpi="open_incidents">
        <dt><a href={to('insights')}>Open incidents</a></dt>
        <dd>{incidents.value.filter(({ closed }) => !closed).length}</dd>
        <dd class="before">{incidents.value.filter(({ acknowledged }) => !acknowledged).length} not seen</dd>
      </div>
    </dl>
  )
}

function shown(name: string, value: number | null): string {
  if (value === null) return '–'
  if (name.endsWith('_seconds')) return seconds(value)
  return AS_SHARE.has(name) ? share(value) : number(value)
}
