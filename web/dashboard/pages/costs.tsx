// What the mesh cost, by part and day, and what one of each thing cost that came of it. Days are those of UTC.
import type { CostPer, Costs as Found } from '../answers.ts'
import { Answer, useAnswer } from '../asking.tsx'
import { Lines } from '../charts/lines.tsx'
import { Card, Receipt, Table } from '../parts.tsx'
import { days } from '../route.ts'
import { counted, dollars, named, number, share } from '../words.ts'
import { Budget } from './budget.tsx'

const DAY = 86_400_000
const OF = { thousand_events: 'Thousand events', decision: 'Decision', offer: 'Offer of help', added_conversion: 'Added conversion' }

export function Costs() {
  const start = new Date((Math.floor(Date.now() / DAY) - days.value + 1) * DAY).toISOString()
  const body = { window: { start } }
  const asked = useAnswer<Found>('/api/analytics/costs', body)
  return (
    <Card title="What it cost" isWide>
      <Answer of={asked}>
        {(found) => (
          <>
            <p>
              {dollars(found.usd)} in these days.
              {!found.isPriced && ' Only language models have a price: JOURNEYMESH_PRICES_FILE names those of the other parts.'}
              {found.dailyBudgetUsd !== null && ` ${budget(found.days, found.dailyBudgetUsd)}`}
            </p>
            {found.days.length > 1 && found.days.some(({ usd }) => usd >= 1) && <Lines title="US dollars per day" series={found.parts.map(byDay(found))} interval="day" />}
            <div class="beside">
              <Table
                caption="By part"
                rows={found.parts}
                columns={[
                  { name: 'Part', of: ({ name }) => named(name) },
                  { name: 'US dollars', of: ({ usd }) => dollars(usd), isNumber: true },
                  { name: 'Of all', of: ({ usd }) => (found.usd ? share(usd / found.usd) : ''), isNumber: true },
                ]}
              />
              <Table
                caption="What one of each cost"
                rows={found.per}
                columns={[
                  { name: 'One', of: ({ what }) => OF[what] },
                  { name: 'How many', of: ({ unitCount }) => number(unitCount), isNumber: true },
                  { name: 'US dollars', of: ({ usd }) => (usd === null ? 'not known yet' : dollars(usd)), isNumber: true },
                  { name: 'Between', of: between, isNumber: true },
                ]}
              />
            </div>
            <Receipt of={found.receipt} question="costs" body={body} />
          </>
        )}
      </Answer>
      <Budget changed={asked.again} />
    </Card>
  )
}

const byDay = (found: Found) => (part: { name: string; usd: number }, at: number) => ({
  name: named(part.name),
  isOther: false,
  total: part.usd,
  points: found.days.map(({ start, parts }, index) => ({ start, value: parts[at]?.usd ?? 0, isUnfinished: index === found.days.length - 1 })),
})

function budget(days: Found['days'], limit: number): string {
  const over = days.filter(({ usd }) => usd > limit).length
  const today = days.at(-1)?.usd ?? 0
  return `A day may cost ${dollars(limit)}; ${over ? `${counted(over, 'day')} cost more` : 'none cost more'}. Today ${share(today / limit)} of it is used.`
}

function between({ what, lowerUsd, upperUsd }: CostPer): string {
  if (what !== 'added_conversion' || lowerUsd === null) return ''
  return upperUsd === null ? `${dollars(lowerUsd)} or more` : `${dollars(lowerUsd)} and ${dollars(upperUsd)}`
}
