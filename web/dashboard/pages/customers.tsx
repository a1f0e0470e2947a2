// Segments of customers, who moved between them, and what is foretold of one customer.
import type { CustomerSegments, Foretold, Migration, SegmentMembers } from '../answers.ts'
import { Answer, Empty, useAnswer } from '../asking.tsx'
import { Card, Table, User } from '../parts.tsx'
import { changed, parameter } from '../route.ts'
import { counted, named, number, share } from '../words.ts'

const FIT = '.venv/bin/journeymesh customers --archive URL --fit'

export function Customers() {
  const asked = useAnswer<CustomerSegments>('/api/segments')
  const shown = parameter('name')
  const customer = parameter('customer')
  return (
    <div class="grid">
      <Answer of={asked}>
        {({ fit, segments, groups }) => fit.state !== 'ready' ? (
          <Card title="Segments" isWide><Empty command={FIT}>Nothing was learnt of customers yet. Learn from the archive, once a day:</Empty></Card>
        ) : (
          <>
            {customer && <Customer id={customer} />}
            <Card title={`Segments of ${counted(fit.customerCount, 'customer')}`} isWide>
              <Table
                caption="Segments of customers"
                rows={segments}
                columns={[
                  { name: 'Segment', of: ({ name }) => <a href={changed({ name })}>{name}</a> },
                  { name: 'Customers', of: ({ customerCount }) => number(customerCount), isNumber: true },
                  { name: 'Share', of: (each) => share(each.share), isNumber: true },
                  { name: 'Aim', of: ({ strategy }) => strategy.aim },
                  { name: 'Offer', of: ({ strategy }) => strategy.offer },
                ]}
              />
            </Card>
            {shown && <Members of={shown} />}
            {groups.length > 0 && (
              <Card title="Groups who are alike" isWide>
                <Table
                  caption="Groups of customers by their centres"
                  rows={groups}
                  columns={[
                    { name: 'Group', of: ({ name }) => name },
                    { name: 'Customers', of: ({ customerCount }) => number(customerCount), isNumber: true },
                    { name: 'Days since', of: ({ daysSince }) => number(daysSince), isNumber: true },
                    { name: 'Order days', of: ({ orderDays }) => number(orderDays), isNumber: true },
                    { name: 'Money per day', of: ({ money }) => number(money), isNumber: true },
                  ]}
                />
              </Card>
            )}
            <Moved />
          </>
        )}
      </Answer>
    </div>
  )
}

function Members({ of }: { of: string }) {
  const asked = useAnswer<SegmentMembers>(`/api/segments/${encodeURIComponent(of)}/members?limit=50`)
  return (
    <Card title={of} isWide>
      <Answer of={asked}>
        {({ userIds, nextAfter }) => (
          <>
            <Table
              caption={`Customers in ${of}`}
              rows={userIds}
              columns={[
                { name: 'Customer', of: (id) => <User id={id} /> },
                { name: 'Foretold', of: (id) => <a href={changed({ customer: id })}>what they will buy</a> },
              ]}
            />
            {nextAfter && <p>The first {userIds.length} are shown.</p>}
          </>
        )}
      </Answer>
    </Card>
  )
}

function Customer({ id }: { id: string }) {
  const asked = useAnswer<Foretold>(`/api/customers/${encodeURIComponent(id)}/predictions`)
  return (
    <Card title={id} isWide>
      <Answer of={asked}>
        {({ segment, active, currency, horizons, due, backTest }) => (
          <>
            <p>{segment}{active !== null && `; still active with ${share(active)}`}.</p>
            <Table
              caption="Expected, with intervals of 80 %"
              rows={horizons}
              columns={[
                { name: 'Days', of: ({ days }) => number(days), isNumber: true },
                { name: 'Orders', of: ({ orders, ordersSpan }) => `${number(orders)} (${span(ordersSpan)})`, isNumber: true },
                { name: `Money ${currency}`, of: ({ money, moneySpan }) => money === null || !moneySpan ? '' : `${number(money)} (${span(moneySpan)})`, isNumber: true },
              ]}
            />
            <Table
              caption="Products that are needed again"
              rows={due.slice(0, 10)}
              columns={[
                { name: 'Product', of: ({ productId, name }) => name || productId },
                { name: 'Days left', of: ({ daysLeft }) => number(daysLeft), isNumber: true },
                { name: 'In 30 days', of: ({ probability, probabilitySpan }) => `${share(probability)} (${share(probabilitySpan.lower)} to ${share(probabilitySpan.upper)})`, isNumber: true },
              ]}
            />
            {backTest && <p class="note">The second half of the time told from the first: {counted(backTest.expectedOrders, 'order')} of all customers expected, {number(backTest.happenedOrders)} happened.</p>}
          </>
        )}
      </Answer>
    </Card>
  )
}

function Moved() {
  const asked = useAnswer<Migration>('/api/segments/migration')
  return (
    <Card title="Who moved since the fit before" isWide>
      <Answer of={asked}>
        {({ rows }) => (
          <Table
            caption="Moves between segments"
            rows={rows.flatMap(({ segment, movedTo }) => movedTo.map((to) => ({ from: segment, ...to })))}
            columns={[
              { name: 'From', of: ({ from }) => named(from) },
              { name: 'To', of: ({ segment }) => named(segment) },
              { name: 'Customers', of: ({ customerCount }) => number(customerCount), isNumber: true },
              { name: 'Share', of: (each) => share(each.share), isNumber: true },
            ]}
          />
        )}
      </Answer>
    </Card>
  )
}

const span = ({ lower, upper }: { lower: number; upper: number }): string => `${number(lower)} to ${number(upper)}`
