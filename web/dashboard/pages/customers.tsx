// Segments of customers, what they bring, who moved between them, and what is foretold of one customer.
import type { CustomerSegments, Foretold, Migration, MigrationRow, SegmentMembers, SegmentPerformances } from '../answers.ts'
import { Answer, Empty, useAnswer } from '../asking.tsx'
import { points } from '../charts/intervals.tsx'
import { Card, Table, User } from '../parts.tsx'
import { changed, parameter } from '../route.ts'
import { counted, named, number, share } from '../words.ts'

const WINDOWS = ['30', '90', '365']
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
            <Performance />
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
        {({ segment, group, active, currency, horizons, due, backTest, nextBasket }) => (
          <>
            <p>{segment}{group && `, in the group ${group}`}{active !== null && `; still active with ${share(active)}`}.</p>
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
            {nextBasket && <p class="note" title={nextBasket.protocol}>Next baskets of {counted(nextBasket.customerCount, 'customer')} after {nextBasket.untilDate}: {share(nextBasket.recall)} of their products were among ten told; {share(nextBasket.personalRecall)} by what each bought most often. The gain is {number(100 * nextBasket.gainSpan.lower)} to {number(100 * nextBasket.gainSpan.upper)} points (95 %).</p>}
          </>
        )}
      </Answer>
    </Card>
  )
}

function Performance() {
  const days = parameter('window') || '90'
  const asked = useAnswer<SegmentPerformances>(`/api/segments/performance?days=${days}`)
  return (
    <Card title={`What segments brought in ${days} days`} isWide>
      <p>
        {WINDOWS.map((each) => (
          <>
            {each === days ? <strong>{each} days</strong> : <a href={changed({ window: each })}>{each} days</a>}{' '}
          </>
        ))}
      </p>
      <Answer of={asked}>
        {({ segments }) => segments.length === 0 ? (
          <Empty command={FIT}>The fit is of a version that did not count this. Learn again:</Empty>
        ) : (
          <>
            <Table
              caption="Orders, money and customers who came again, by segment"
              rows={segments}
              columns={[
                { name: 'Segment', of: ({ segment }) => segment },
                { name: 'Customers', of: ({ customerCount }) => number(customerCount), isNumber: true },
                { name: 'Orders', of: ({ orderCount }) => number(orderCount), isNumber: true },
                { name: 'Money', of: ({ money }) => money.map((each) => `${number(each.amount)} ${each.currency} (${share(each.share)})`).join(', '), isNumber: true },
                { name: 'At the start', of: ({ startingCount }) => number(startingCount), isNumber: true },
                { name: 'Ordered since', of: ({ conversion }) => conversion === null ? '' : share(conversion), isNumber: true },
                { name: 'Help changed', of: ({ lift }) => !lift ? '' : lift.isKnown ? `${points(lift.lift)} (${points(lift.lower)} to ${points(lift.upper)})` : 'not known yet', isNumber: true },
              ]}
            />
            <p class="note">Money has its share in that of all customers. Ordered since: of the customers who were in the segment at the start. Help changed: the conversion rate of those who were helped, against the holdout, since the experiment began.</p>
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
        {({ rows, groupRows, groupTransitions }) => (
          <>
            <Moves caption="Moves between segments" of={rows} />
            {groupRows.length > 0 && <Moves caption="Moves between groups" of={groupRows} />}
            {groupTransitions.length > 0 && (
              <Table
                caption="What became of groups"
                rows={groupTransitions}
                columns={[
                  { name: 'Group', of: ({ group }) => group },
                  { name: 'Since then', of: ({ change }) => named(change) },
                  { name: 'Became', of: ({ became }) => became.join(', ') },
                ]}
              />
            )}
          </>
        )}
      </Answer>
    </Card>
  )
}

function Moves({ caption, of }: { caption: string; of: MigrationRow[] }) {
  return (
    <Table
      caption={caption}
      rows={of.flatMap(({ segment, movedTo }) => movedTo.map((to) => ({ from: segment, ...to })))}
      columns={[
        { name: 'From', of: ({ from }) => named(from) },
        { name: 'To', of: ({ segment }) => named(segment) },
        { name: 'Customers', of: ({ customerCount }) => number(customerCount), isNumber: true },
        { name: 'Share', of: (each) => share(each.share), isNumber: true },
      ]}
    />
  )
}

const span = ({ lower, upper }: { lower: number; upper: number }): string => `${number(lower)} to ${number(upper)}`
