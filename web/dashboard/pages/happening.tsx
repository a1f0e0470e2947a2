// What happens, line by line, a moment after it did.
import type { Happening } from '../answers.ts'
import { Empty } from '../asking.tsx'
import { happened, isLive, isPaused, leftOut, news } from '../live.ts'
import { Card, Level, User } from '../parts.tsx'
import { named, number, time } from '../words.ts'

const SHOWN = 12

export function Happening() {
  const lines = news(happened.value)
  const pause = (
    <button type="button" aria-pressed={isPaused.value} onClick={() => (isPaused.value = !isPaused.value)}>
      Pause
    </button>
  )
  return (
    <Card title="As it happens" isWide side={pause}>
      {!isLive.value && <p class="stale" role="status">Nothing is pushed at the moment; the lists below are asked for instead.</p>}
      {lines.length ? (
        <ol class="entries happening" aria-label="What happened, newest first">
          {lines.slice(0, SHOWN).map((each) => (
            <li class={each.interventionId ? 'decided' : each.kind === 'struggle' ? 'failed' : ''}>
              <time dateTime={each.time}>{time(each.time)}</time>
              <span><Said of={each} /> <User id={each.userId} /> <Level level={each.level} score={each.score} /> {each.page && <small>on {each.page}</small>}</span>
            </li>
          ))}
        </ol>
      ) : (
        isLive.value && <Empty>Nothing has happened since this page was opened. Struggle, decisions on users at risk, help and its outcomes come here within a second.</Empty>
      )}
      {leftOut.value > 0 && <p class="small">{number(leftOut.value)} more than could be shown.</p>}
    </Card>
  )
}

function Said({ of }: { of: Happening & { before?: string } }) {
  const change = of.before ? `Risk ${of.before} → ${of.level}` : `Risk ${of.level}`
  if (of.kind === 'struggle') return <><b>{named(of.signal ?? 'struggle')}</b>{of.why && `: ${of.why}.`}{of.before && ` ${change}.`}</>
  if (of.kind === 'outcome') return <b>Help {of.outcome}</b>
  if (of.interventionId) return <><b>Help offered</b>: {named(of.action)}. {change}.</>
  return <><b>{change}</b>{of.reason && `, no help: ${named(of.reason).toLowerCase()}.`}</>
}
