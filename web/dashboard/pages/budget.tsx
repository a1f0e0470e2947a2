// What a day may cost: who set it, what today has used of it, and a form that sets it. Days are those of UTC.
import { useState } from 'preact/hooks'
import type { Budget as Found } from '../answers.ts'
import { fetched, Problem } from '../api.ts'
import { Answer, useAnswer } from '../asking.tsx'
import { day, dollars, share } from '../words.ts'

const PATH = '/api/analytics/budget'

/** `changed` is called once another budget counts. */
export function Budget({ changed }: { changed: () => void }) {
  const asked = useAnswer<Found>(PATH)
  const [said, setSaid] = useState('')
  const [trouble, setTrouble] = useState('')
  const set = async (dailyUsd: number | null): Promise<void> => {
    setSaid('')
    setTrouble('')
    try {
      await fetched(PATH, { dailyUsd })
      setSaid(dailyUsd === null ? 'Your budget is removed.' : 'Your budget is set.')
      asked.again()
      changed()
    } catch (error) {
      setTrouble(error instanceof Problem ? error.message : String(error))
    }
  }
  const submitted = (event: SubmitEvent): void => {
    event.preventDefault()
    void set(Number(new FormData(event.currentTarget as HTMLFormElement).get('daily')))
  }
  return (
    <Answer of={asked}>
      {(found) => (
        <>
          <p>{inWords(found)} At 80 % of it and at all of it you are told: on the page Insights, and by the webhook for incidents.</p>
          <form class="find" onSubmit={submitted} key={found.ownDailyUsd}>
            <label>Your budget for a day, in US dollars <input name="daily" type="number" min="0.000001" max="1000000000" step="any" required defaultValue={`${found.ownDailyUsd ?? ''}`} /></label>
            <button>Set</button>
            {found.ownDailyUsd !== null && <button type="button" onClick={() => set(null)}>Remove</button>}
          </form>
          <p role="status">{said}</p>
          {trouble && <p class="note" role="alert">{trouble}</p>}
        </>
      )}
    </Answer>
  )
}

function inWords({ ownDailyUsd, operatorDailyUsd, dailyUsd, usedTodayUsd, usedShare, setBy, setTime }: Found): string {
  if (dailyUsd === null) return `Today has cost ${dollars(usedTodayUsd)} so far. There is no budget.`
  const set = ownDailyUsd !== null && `you set ${dollars(ownDailyUsd)}${setTime ? ` on ${day(setTime)}` : ''}${setBy ? ` (${setBy})` : ''}`
  const operator = operatorDailyUsd !== null && `who operates the mesh allows ${dollars(operatorDailyUsd)}`
  return `Today has cost ${dollars(usedTodayUsd)} so far, ${share(usedShare ?? 0)} of its budget of ${dollars(dailyUsd)}: ${[set, operator].filter(Boolean).join(', and ')}.`
}
