// Which users, as part of the address: a saved segment and a level of risk (segment=ID&risk=high).
import { useState } from 'preact/hooks'
import type { Segments as Found, Trend } from './answers.ts'
import { fetched, Problem } from './api.ts'
import { useAnswer } from './asking.tsx'
import { type Condition, conditions } from './filters.tsx'
import { changed, go, parameter, since } from './route.ts'
import { named, number } from './words.ts'

const PATH = '/api/analytics/segments'
const LEVELS = ['medium', 'high', 'critical'] as const

/** The users of the address, as a member of a question; empty for all users. */
export function segment(did: readonly Condition[] = []): { segment?: object } {
  const saved = parameter('segment')
  const atLeast = parameter('risk')
  if (!saved && !atLeast && !did.length) return {}
  return { segment: { ...(saved ? { saved } : {}), ...(atLeast ? { atLeast } : {}), ...(did.length ? { did } : {}) } }
}

/** Chooses users, says how many they are, and keeps what is chosen as a segment. */
export function Segments() {
  const saved = useAnswer<Found>(PATH)
  const chosen = parameter('segment')
  const risk = parameter('risk')
  const segments = saved.value?.segments ?? []
  const its = segments.find(({ segmentId }) => segmentId === chosen)
  return (
    <div class="find">
      <label class="choice">Users in{' '}
        <select value={chosen} onChange={(event) => go(changed({ segment: event.currentTarget.value }))}>
          <option value="">no segment</option>
          {chosen && !its && <option value={chosen}>{saved.value ? 'a deleted segment' : chosen}</option>}
          {segments.map(({ segmentId, name }) => <option value={segmentId}>{name}</option>)}
        </select>
      </label>
      <label class="choice">whose risk was{' '}
        <select value={risk} onChange={(event) => go(changed({ risk: event.currentTarget.value }))}>
          <option value="">any</option>
          {LEVELS.map((level) => <option value={level}>{level === 'critical' ? named(level).toLowerCase() : `${level} or above`}</option>)}
        </select>
      </label>
      {(chosen || risk) && <Size />}
      <Keep again={saved.again} {...(its ? { name: its.name, id: its.segmentId } : {})} />
      {its?.description && <p class="small">{its.description}</p>}
    </div>
  )
}

function Size() {
  const found = useAnswer<Trend>('/api/analytics/trends', { measure: 'users', interval: 'month', window: since(), ...segment() })
  const total = found.value?.series[0]?.total
  return <output class="small">{found.problem ? found.problem.message : total === undefined ? '…' : `${number(total)} users in these days`}</output>
}

function Keep({ name, id, again }: { name?: string; id?: string; again: () => void }) {
  const [trouble, setTrouble] = useState('')
  const attempt = async (work: () => Promise<string>): Promise<void> => {
    try {
      go(await work())
      setTrouble('')
      again()
    } catch (error) {
      setTrouble(error instanceof Problem ? error.message : String(error))
    }
  }
  const keep = (event: SubmitEvent): void => {
    event.preventDefault()
    const said = String(new FormData(event.currentTarget as HTMLFormElement).get('name')).trim()
    const risk = parameter('risk')
    const draft = { name: said, users: { did: conditions(), ...(risk ? { atLeast: risk } : {}) } }
    void attempt(async () => changed({ segment: (await fetched<{ segmentId: string }>(PATH, draft)).segmentId, risk: '', where: [] }))
  }
  const remove = (): void => {
    if (confirm(`Delete the segment "${name}"? Questions that name it will be refused.`)) void attempt(() => fetched(`${PATH}/${id}`, undefined, 'DELETE').then(() => changed({ segment: '' })))
  }
  const isNew = !id && (parameter('risk') || conditions().length > 0)
  return (
    <>
      {isNew && <form class="find" onSubmit={keep}><input name="name" aria-label="Name of the segment" placeholder="Name" maxLength={100} required /><button>Save as a segment</button></form>}
      {id && <button type="button" onClick={remove}>Delete the segment</button>}
      {trouble && <p class="note" role="alert">{trouble}</p>}
    </>
  )
}
