// One user: the risk of now with what it rests on, its curve, and events and decisions by session.
import { useState } from 'preact/hooks'
import type { Decision, Entry, Journey, Offered, Risk, Standing } from '../answers.ts'
import { Answer, Empty, useAnswer } from '../asking.tsx'
import { Contributions } from '../charts/contributions.tsx'
import { RiskCurve } from '../charts/risk.tsx'
import { Candidates, Card, Level, Receipt } from '../parts.tsx'
import { changed, days, since } from '../route.ts'
import { clock, counted, day, named, number, share, standing, time } from '../words.ts'
import { Another } from './derived.tsx'

const EVERY_SECONDS = 5

export function TimeLine({ user }: { user: string }) {
  const id = encodeURIComponent(user)
  const body = { window: since(), limit: 1000 }
  const risk = useAnswer<Risk>(`/api/users/${id}/risk`, undefined, EVERY_SECONDS)
  const journey = useAnswer<Journey>(`/api/analytics/journeys/${id}`, body, EVERY_SECONDS)
  return (
    <>
      <p class="crumbs"><a href={changed({ user: '' })}>All users</a> · <b class="user">{user}</b></p>
      <div class="grid">
        <Card title="Exit risk now">
          <Answer of={risk}>
            {({ assessment, contributions, eventTime, modelVersion, rulesVersion, struggle, exitRisk }) => (
              <>
                <p class="score"><b>{Math.round(assessment.score)}</b> <Level level={assessment.level} /> <span>as of {time(eventTime)}, {share(assessment.confidence)} sure</span></p>
                <Contributions of={contributions} />
                {struggle && <p>Struggle <b>{Math.round(struggle.score)}</b> of 100. {exitRisk && leaving(exitRisk)}</p>}
                <p class="small">Model {modelVersion}: {number(assessment.modelScore)}. Rules {rulesVersion}: {number(assessment.ruleScore)}.</p>
              </>
            )}
          </Answer>
        </Card>
        <Card title="How it came to this">
          <Answer of={journey}>{({ entries }) => (entries.some(({ decision }) => decision) ? <RiskCurve entries={entries} /> : <Empty>Nothing was decided about this user in these days.</Empty>)}</Answer>
        </Card>
        <Card title="Time line" isWide>
          <Answer of={journey}>
            {({ entries, receipt }) => (
              <>
                {entries.length ? sessions(entries).reverse().map((session) => <Session entries={session} />) : <Empty>Nothing of this user is archived for the {counted(days.value, 'last day', 'last days')}.</Empty>}
                <Receipt of={receipt} question={`journeys/${id}`} body={body} />
              </>
            )}
          </Answer>
        </Card>
      </div>
    </>
  )
}

function leaving({ probability, outcome }: NonNullable<Risk['exitRisk']>): string {
  if (probability !== null) return `Probability of ${outcome || 'leaving'}: ${share(probability)}.`
  return 'The model tells no probability of leaving: it has not learned from enough users of yours.'
}

function sessions(entries: readonly Entry[]): Entry[][] {
  const found: Entry[][] = []
  for (const entry of entries) {
    if (entry.beginsSession || !found.length) found.push([])
    found.at(-1)?.push(entry)
  }
  return found
}

function Session({ entries }: { entries: readonly Entry[] }) {
  const begin = entries[0]?.time ?? ''
  return (
    <section class="session">
      <h3>{day(begin)}, {clock(begin)} <small>{counted(entries.filter(({ event }) => event).length, 'event')}</small></h3>
      <ol class="entries">
        {entries.map(({ time: at, event, decision }) => (
          <li class={decision ? 'decided' : event?.errorCode ? 'failed' : ''}>
            <time dateTime={at}>{time(at)}</time>
            {event && <span><b>{named(event.eventType)}</b> {[event.page, event.target, event.errorCode, event.videoId, event.outcome].filter(Boolean).join(' · ')}</span>}
            {decision && <Decided decision={decision} />}
            {decision?.interventionId && <CameOf id={decision.interventionId} />}
          </li>
        ))}
      </ol>
    </section>
  )
}

function Decided({ decision }: { decision: Decision }) {
  const { alternatives, explanation, indicators, interventionId, reasons } = decision
  const [isOpen, setOpen] = useState(false)
  return (
    <details onToggle={(event) => setOpen(event.currentTarget.open)}>
      <summary>
        <Level level={decision.level} score={decision.score} /> {interventionId ? <b>Help offered</b> : 'No help'}: {reasons.map(named).join(', ')}
      </summary>
      {explanation && <p>{explanation}</p>}
      {indicators.length > 0 && <Contributions of={indicators} />}
      {alternatives.length > 0 && (
        <Candidates caption={`What decision ${decision.decisionId} considered`} of={alternatives} />
      )}
      {isOpen && <Stood id={decision.decisionId} />}
      <p class="small">Decision <code>{decision.decisionId}</code> by policy <code>{decision.policyVersion}</code></p>
      <Another decision={decision} />
    </details>
  )
}

/** The user's segment, group and arm at a decision, as long as the ledger has it. */
function Stood({ id }: { id: string }) {
  const { value } = useAnswer<Standing>(`/api/decisions/${encodeURIComponent(id)}`)
  const said = value && standing(value)
  return said ? <p>{said}</p> : null
}

/** What became of help: its outcome, and each message with when it was sent. */
function CameOf({ id }: { id: string }) {
  const { value, problem } = useAnswer<Offered>(`/api/interventions/${encodeURIComponent(id)}`, undefined, EVERY_SECONDS)
  if (!value) {
    if (!problem) return <p class="came-of waiting">Loading…</p>
    return <p class="came-of">{problem.status === 404 ? 'What came of it is no longer kept.' : problem.message}</p>
  }
  const { intervention, outcome, isEnded, withdrawalReason, deliveries } = value
  return (
    <ul class="came-of">
      <li><b>{named(intervention.action)}</b>: {outcome ? named(outcome) : 'no answer yet'}{withdrawalReason ? ` (${named(withdrawalReason)})` : ''}{isEnded ? '' : ', still open'}</li>
      {deliveries.map(({ channel, state, attemptCount, updateTime, provider, reason }) => (
        <li>
          {named(channel)} {named(state).toLowerCase()}{updateTime && <> <time dateTime={updateTime}>{time(updateTime)}</time></>} by {provider}
          {attemptCount > 1 && `, ${counted(attemptCount, 'attempt')}`}{reason && `: ${named(reason)}`}
        </li>
      ))}
    </ul>
  )
}
