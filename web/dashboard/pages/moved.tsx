// What moved since the days before: the scores, and the features and rules that gave reasons for them.
import type { Drift, DriftSide } from '../answers.ts'
import { Answer, Empty, useAnswer } from '../asking.tsx'
import { Moved } from '../charts/moved.tsx'
import { Card, Receipt } from '../parts.tsx'
import { parameter, since } from '../route.ts'
import { counted, number, share } from '../words.ts'

export function Drifted() {
  const body = { window: since(), modelVersion: parameter('version') }
  const asked = useAnswer<Drift>('/api/analytics/drift', body)
  return (
    <Card title="What moved?" isWide>
      <Answer of={asked}>
        {(found) => (
          <>
            <Told of={found} />
            <Receipt of={found.receipt} question="drift" body={body} />
          </>
        )}
      </Answer>
    </Card>
  )
}

function Told({ of }: { of: Drift }) {
  const { items, modelVersion, previous, current, leastUserCount, oneIn } = of
  if (!items.length)
    return <Empty>It needs {counted(leastUserCount, 'user')} with predictions of one model in these days and in as many before, and there are {number(current.userCount)} and {number(previous.userCount)}.</Empty>
  const reasons = items.filter(({ kind }) => kind === 'reason')
  const notable = reasons.filter(({ isNotable }) => isNotable).length
  return (
    <>
      <p>
        {counted(current.predictionCount, 'prediction')} of <code>{modelVersion}</code> against {number(previous.predictionCount)} in as many days before.{' '}
        {told('at high risk or above', previous, current, 'atRiskShare')}; {told('led to help', previous, current, 'offeredShare')}.
        {oneIn > 1 && ` One in ${number(oneIn)} users was taken.`}
      </p>
      <p class="caption">Bars are population stability indexes; the lines stand at 0.1, from where on values moved, and 0.25, from where on they moved far.</p>
      <div class="beside">
        <Moved title="Scores" summary="The scores." items={items.filter(({ kind }) => kind === 'score')} />
        {reasons.length ? (
          <Moved title="Reasons" summary={`What features and rules contributed to decisions, what moved scores furthest first. ${counted(notable, 'of them moves', 'of them move')} decisions.`} items={reasons} />
        ) : (
          <Empty>No decision names a reason: all are at a low level.</Empty>
        )}
      </div>
    </>
  )
}

const told = (what: string, before: DriftSide, now: DriftSide, of: 'atRiskShare' | 'offeredShare'): string =>
  `${share(now[of] ?? 0)} ${what}, ${share(before[of] ?? 0)} before`
