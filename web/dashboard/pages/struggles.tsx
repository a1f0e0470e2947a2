// Where users struggle, and examples.
import type { Struggle, Struggles as Found, List, Trend } from '../answers.ts'
import { Answer, DEMO, Empty, useAnswer } from '../asking.tsx'
import { Bars } from '../charts/bars.tsx'
import { Lines } from '../charts/lines.tsx'
import { Card, Level, Receipt, Table, User } from '../parts.tsx'
import { conditions, Filters } from '../filters.tsx'
import { changed, days, parameter, since } from '../route.ts'
import { segment } from '../segments.tsx'
import { named, number, share, time } from '../words.ts'

export function Struggles() {
  const window = since()
  const interval = days.value === 1 ? 'hour' : 'day'
  const where = conditions()
  const body = { window, where, ...segment(), limit: 200 }
  const trend = { measure: 'struggles', breakdown: 'struggle', interval, where, ...segment(), window }
  const struggles = useAnswer<Found>('/api/analytics/struggles', body)
  const series = useAnswer<Trend>('/api/analytics/trends', trend)
  const page = parameter('page')
  return (
    <div class="grid">
      <Filters of="struggles" />
      <Card title="Over time" isWide>
        <Answer of={series}>
          {({ series: found, receipt }) => (
            <>
              {found.some(({ total }) => total) ? <Lines title="Struggles" series={found.map((each) => ({ ...each, name: named(each.name) }))} interval={interval} /> : <Empty command={DEMO}>Nobody struggled in these days. To see a mesh at work:</Empty>}
              <Receipt of={receipt} question="trends" body={trend} />
            </>
          )}
        </Answer>
      </Card>
      <Answer of={struggles}>
        {({ struggles: found, receipt }) =>
          found.length > 0 && (
            <>
              <Card title="By kind"><Summed of={found} by={({ kind }) => named(kind)} title="By kind" /></Card>
              <Card title="By page"><Summed of={found} by={({ page: each }) => each || '(no page)'} title="By page" /></Card>
              <Card title="Where exactly" isWide>
                <Table
                  caption="Struggles by kind, page and element"
                  rows={found.filter((each) => !page || each.page === page)}
                  columns={[
                    { name: 'Kind', of: ({ kind }) => named(kind) },
                    { name: 'Page', of: ({ page: each }) => (each ? <a href={changed({ page: each })}>{each}</a> : '') },
                    { name: 'Element', of: ({ target }) => target },
                    { name: 'Struggles', of: ({ struggleCount }) => number(struggleCount), isNumber: true },
                    { name: 'Users', of: ({ userCount }) => number(userCount), isNumber: true },
                    { name: 'Helped', of: ({ offeredCount, struggleCount }) => share(offeredCount / struggleCount), isNumber: true },
                    { name: 'Last', of: ({ lastTime }) => time(lastTime) },
                  ]}
                />
                <Receipt of={receipt} question="struggles" body={body} />
              </Card>
            </>
          )
        }
      </Answer>
      {page && <Examples page={page} />}
    </div>
  )
}

function Summed({ of, by, title }: { of: readonly Struggle[]; by: (struggle: Struggle) => string; title: string }) {
  const sums = new Map<string, number>()
  for (const each of of) sums.set(by(each), (sums.get(by(each)) ?? 0) + each.struggleCount)
  const bars = [...sums].map(([name, value]) => ({ name, value })).sort((one, other) => other.value - one.value).slice(0, 10)
  return <Bars title={title} bars={bars} summary={`Most: ${bars[0]?.name ?? 'none'}, ${number(bars[0]?.value ?? 0)} times.`} areSharesOfAll />
}

function Examples({ page }: { page: string }) {
  const body = { kind: 'users_at_risk', window: since(), ...segment(), where: [...conditions(), { field: 'page', values: [page] }], limit: 10 }
  const list = useAnswer<List>('/api/analytics/lists', body)
  return (
    <Card title={`Examples on ${page}`} isWide side={<a class="button" href={changed({ page: '' })}>All pages</a>}>
      <Answer of={list}>
        {({ rows, receipt }) => (
          <>
            {rows.length ? (
              <Table caption="Users at risk there" rows={rows} columns={[{ name: 'Risk', of: ({ level, score }) => <Level level={level} score={score} /> }, { name: 'User', of: ({ userId }) => <User id={userId} /> }, { name: 'Why', of: ({ reason }) => reason }, { name: 'Time', of: (row) => time(row.time) }]} />
            ) : (
              <Empty>Nobody's latest risk was decided there.</Empty>
            )}
            <Receipt of={receipt} question="lists" body={body} />
          </>
        )}
      </Answer>
    </Card>
  )
}
