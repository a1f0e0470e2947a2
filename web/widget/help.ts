/** Help that waits for a user, as the server tells it. */
export interface Help {
  id: string
  type: string
  action: string
  message: string
  expiresAt?: string
  content?: string[]
  handledBy?: string
  payload?: { target?: string }
}

export type Outcome = 'shown' | 'accepted' | 'declined'

export interface Place {
  server: string
  key: string | undefined
}

export interface Person {
  id: string
  token: string | undefined
}

interface Pending {
  type?: string
  cursor: string
  intervention?: Help | null
}

const PAUSE_MS = 1000
const LONGEST_PAUSE_MS = 30_000
const POLL_MS = 5000
const OPENING_MS = 5000
const REPORTS = 6

/**
 * Tells what waits for a user, now and at each change, until the signal aborts: over a WebSocket, by server-sent events where none can
 * be opened, by asking where neither can. All three share one cursor.
 */
export async function follow(place: Place, person: Person, signal: AbortSignal, tell: (help: Help | undefined) => void): Promise<void> {
  let cursor = ''
  let failures = 0
  const take = (pending: Pending): void => {
    failures = 0
    if (pending.cursor === cursor) return
    cursor = pending.cursor
    tell(pending.intervention ?? undefined)
  }
  const path = `/api/interventions/${encodeURIComponent(person.id)}`
  const ways = [bySocket, byEvents, byAsking]
  while (!signal.aborted) {
    const way = ways[0] as (typeof ways)[number]
    const hasOpened = await way(place, person, path, () => cursor, signal, take).catch(() => false)
    // What could not be opened twice is not tried again by this page.
    if (!hasOpened && ++failures >= 2 && ways.length > 1) {
      ways.shift()
      failures = 0
    }
    await pause(Math.min(PAUSE_MS * 2 ** failures, LONGEST_PAUSE_MS) * (0.5 + Math.random()), signal)
  }
}

type Way = (
  place: Place,
  person: Person,
  path: string,
  cursor: () => string,
  signal: AbortSignal,
  take: (pending: Pending) => void,
) => Promise<boolean>

/** Resolves when the socket is closed, to whether it was ever open. */
const bySocket: Way = (place, person, path, cursor, signal, take) =>
  new Promise((resolve) => {
    const url = new URL(`${path}/socket?cursor=${cursor()}`, place.server)
    url.protocol = url.protocol.replace('http', 'ws')
    const protocols = place.key ? ['journeymesh', `key.${place.key}`, ...(person.token ? [`user.${person.token}`] : [])] : []
    const socket = new WebSocket(url, protocols)
    const close = (): void => socket.close()
    const late = setTimeout(close, OPENING_MS)
    let hasOpened = false
    socket.onopen = () => {
      hasOpened = true
      clearTimeout(late)
    }
    socket.onmessage = ({ data }) => {
      const frame = JSON.parse(data as string) as Pending
      if (frame.type === 'intervention') take(frame)
    }
    socket.onclose = () => {
      clearTimeout(late)
      signal.removeEventListener('abort', close)
      resolve(hasOpened)
    }
    signal.addEventListener('abort', close)
  })

/** Resolves when the stream ends, to whether it was ever open. */
const byEvents: Way = async (place, person, path, cursor, signal, take) => {
  const url = new URL(`${path}/stream`, place.server)
  if (cursor()) url.searchParams.set('lastEventId', cursor())
  if (place.key) {
    const answer = await call(place, person, `${path}/ticket`, { method: 'POST', signal })
    url.searchParams.set('ticket', ((await answer.json()) as { ticket: string }).ticket)
  }
  return new Promise((resolve) => {
    const events = new EventSource(url)
    let hasOpened = false
    const end = (): void => {
      events.close()
      resolve(hasOpened)
    }
    const heard = ({ data }: MessageEvent<string>): void => take(JSON.parse(data) as Pending)
    events.onopen = () => (hasOpened = true)
    events.onerror = end
    events.addEventListener('intervention', heard)
    events.addEventListener('none', heard)
    signal.addEventListener('abort', end)
  })
}

const byAsking: Way = async (place, person, path, _, signal, take) => {
  for (;;) {
    take((await (await call(place, person, `${path}/pending`, { signal })).json()) as Pending)
    await pause(POLL_MS, signal)
    if (signal.aborted) return true
  }
}

/** Reports an outcome, again if the server does not take it now. */
export async function report(place: Place, person: Person, id: string, outcome: Outcome): Promise<void> {
  const path = `/api/interventions/${encodeURIComponent(id)}/outcome`
  for (let failures = 0; failures < REPORTS; failures++) {
    try {
      await call(place, person, path, { method: 'POST', body: JSON.stringify({ outcome }), keepalive: true })
      return
    } catch (error) {
      // What the server refuses it would refuse again: the help has ended, or the key is wrong.
      if (error instanceof Refused && error.status < 500 && error.status !== 429) return
      await pause(PAUSE_MS * 2 ** failures)
    }
  }
}

class Refused extends Error {
  constructor(readonly status: number) {
    super(`The server answered ${status}.`)
  }
}

async function call({ server, key }: Place, { token }: Person, path: string, init: RequestInit): Promise<Response> {
  const headers = { ...(key && { authorization: `Bearer ${key}` }), ...(token && { 'x-journeymesh-user-token': token }) }
  const answer = await fetch(new URL(path, server), { ...init, headers, credentials: 'omit' })
  if (!answer.ok) throw new Refused(answer.status)
  return answer
}

function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms)
    signal?.addEventListener('abort', () => {
      clearTimeout(timer)
      resolve()
    })
  })
}
