import type { Store, Stored } from './store.ts'

const FLUSH_MS = 3000
const FLUSH_COUNT = 20
/** Browsers let a page have 64 KiB on their way as it is left. */
const BODY_BYTES = 48 * 1024
const MOST_EVENTS = 1000
const MOST_BYTES = 1 << 20
const LIMIT_EVERY = 100
const RETRY_MS = 3000
const LONGEST_RETRY_MS = 30 * 60_000
/** How long an answer may take. */
const ANSWER_MS = 30_000
/** The server recognises an event that comes again for 24 hours. */
const RECOGNISED_MS = 23 * 3_600_000
const TRIED = 'journeymesh.tried'
/** What the server may take later. */
const LATER = new Set(['RATE_LIMITED', 'BUFFER_FULL', 'DEPENDENCY_UNAVAILABLE', 'DEADLINE_TOO_SHORT', 'INTERNAL'])

const encoder = new TextEncoder()

interface Verdicts {
  rejected: { index: number; reason: string }[]
}

export interface Sender {
  /** Resolves once the event will survive the page; `isUrgent` sends at once what waits. */
  add(event: Stored, isUrgent: boolean): Promise<void>
  /** Sends what waits. */
  flush(): void
  /** Tries again after a refusal, as with a new token. */
  resume(): void
  /** Forgets everything that was not sent. */
  clear(): Promise<void>
}

/**
 * Sends stored events until the server has confirmed each.
 *
 * Events are sent again until a 2xx is seen. A beacon tells no answer, so nothing is dropped for it. The server recognises what comes twice.
 */
export function sender(store: Store, url: string, headers: () => Record<string, string>): Sender {
  /** This page's events that are not confirmed, for the beacon as the page is left. */
  const own = new Map<string, string>()
  /** Those of them that are being stored: a page that goes may not end that. */
  const unstored = new Set<string>()
  /** Those that went by a beacon since the page was hidden. */
  const beaconed = new Set<string>()
  let waiting = 0
  let added = 0
  let limiting: Promise<void> | undefined
  let timer: ReturnType<typeof setTimeout> | undefined
  let failures = 0
  let notBefore = 0
  let isRefused = false
  let isSending = false
  let most = FLUSH_COUNT * 5

  const later = (ms: number): void => {
    clearTimeout(timer)
    timer = setTimeout(flush, ms)
  }

  function flush(): void {
    clearTimeout(timer)
    timer = undefined
    if (isRefused || isSending || !navigator.onLine) return
    const wait = notBefore - performance.now()
    if (wait > 0) return later(wait)
    isSending = true
    waiting = 0
    alone(send)
      .catch(() => true)
      .then((isMore) => {
        isSending = false
        if (isMore && !isRefused) later(Math.max(notBefore - performance.now(), FLUSH_MS / 3))
        else if (waiting) flush()
      })
  }

  /** Sends until nothing is stored; whether something is left. */
  async function send(): Promise<boolean> {
    for (;;) {
      const events = await store.oldest(most)
      forget(events)
      const batch = within(await alive(events))
      if (!batch.length) return events.length > 0
      const done = await post(batch)
      if (!done) return true
      for (const id of done) own.delete(id)
      await store.drop(done)
    }
  }

  /** Forgets own events that another tab sent: those that were stored for a while and no longer are. */
  function forget(stored: Stored[]): void {
    const oldest = stored[0]?.id ?? '~'
    for (const id of own.keys()) if (id < oldest && Date.now() - timeOf(id) > FLUSH_MS) own.delete(id)
  }

  /** The events without those that came too long ago to be recognised if they came already. */
  async function alive(events: Stored[]): Promise<Stored[]> {
    const tried = remembered()
    const isOver = ({ id }: Stored): boolean => id <= tried && Date.now() - timeOf(id) > RECOGNISED_MS
    const over = events.filter(isOver)
    if (over.length) await store.drop(over.map(({ id }) => id))
    return events.filter((event) => !isOver(event))
  }

  /** Sends a batch; the ids that need not be sent again, or undefined if all must. */
  async function post(batch: Stored[]): Promise<string[] | undefined> {
    remember(batch)
    const ids = batch.map(({ id }) => id)
    let answer: Response
    let rejected: Verdicts['rejected'] = []
    try {
      const signal = AbortSignal.timeout?.(ANSWER_MS) ?? null
      answer = await fetch(url, { method: 'POST', body: body(batch), headers: headers(), keepalive: true, credentials: 'omit', signal })
      if (answer.status < 300) rejected = ((await answer.json()) as Verdicts).rejected.slice()
    } catch {
      // Nothing, or what is no answer of the mesh, as a page that asks for a login to the network.
      return wait(undefined)
    }
    const { status } = answer
    if (status < 300) {
      failures = 0
      const again = new Set(rejected.filter(({ reason }) => LATER.has(reason)).map(({ index }) => ids[index]))
      if (again.size) wait(answer)
      return again.size === ids.length ? undefined : ids.filter((id) => !again.has(id))
    }
    if (status === 413 && batch.length > 1) {
      most = batch.length >> 1
      return []
    }
    if (status === 400 || status === 413 || status === 422) return ids
    if (status === 401 || status === 403) {
      isRefused = true
      return undefined
    }
    return wait(answer)
  }

  function wait(answer: Response | undefined): undefined {
    const told = Math.min(Number(answer?.headers.get('retry-after')) * 1000, RECOGNISED_MS)
    const own = Math.min(RETRY_MS * 2 ** failures++, LONGEST_RETRY_MS) * (0.5 + Math.random())
    notBefore = performance.now() + (told || own)
  }

  /** Keeps and sends this page's events as it is left. */
  function leave(): void {
    const all = [...own].map(([id, json]) => ({ id, json }))
    store.keep(all.filter(({ id }) => unstored.delete(id)))
    const batch = within(all.filter(({ id }) => !beaconed.has(id)))
    if (!batch.length || isRefused || !navigator.onLine || performance.now() < notBefore) return
    remember(batch)
    for (const { id } of batch) beaconed.add(id)
    // A beacon can carry no key.
    const given = headers()
    if (Object.keys(given).length || !navigator.sendBeacon?.(url, body(batch))) {
      fetch(url, { method: 'POST', body: body(batch), headers: given, keepalive: true, credentials: 'omit' }).catch(() => {})
    }
  }

  addEventListener('visibilitychange', () => (document.visibilityState === 'hidden' ? leave() : beaconed.clear()))
  addEventListener('pagehide', leave)
  addEventListener('online', flush)

  async function limit(): Promise<void> {
    for (let kept = 0; kept >= 0; ) {
      const events = await store.oldest(MOST_EVENTS * 2)
      let bytes = 0
      kept = events.reverse().findIndex(({ json }, index) => (bytes += json.length) > MOST_BYTES || index >= MOST_EVENTS)
      if (kept >= 0) await store.drop(events.slice(kept).map(({ id }) => id))
    }
  }

  return {
    async add(event, isUrgent) {
      own.set(event.id, event.json)
      if (own.size > MOST_EVENTS) own.delete(own.keys().next().value as string)
      waiting++
      unstored.add(event.id)
      await store.put([event])
      unstored.delete(event.id)
      if (++added % LIMIT_EVERY === 0) limiting ??= limit().finally(() => (limiting = undefined))
      if (isUrgent || waiting >= FLUSH_COUNT) flush()
      else timer ??= setTimeout(flush, FLUSH_MS)
    },
    flush,
    resume() {
      isRefused = false
      flush()
    },
    async clear() {
      own.clear()
      try {
        localStorage.removeItem(TRIED)
      } catch {}
      for (let events; (events = await store.oldest(MOST_EVENTS)).length; ) await store.drop(events.map(({ id }) => id))
    },
  }
}

/** Runs it if no other tab does: one sends for all. Where a page may use no locks, each sends for itself. */
async function alone(run: () => Promise<boolean>): Promise<boolean> {
  let running: Promise<boolean> | undefined
  try {
    return await navigator.locks.request('journeymesh.send', { ifAvailable: true }, async (lock) => (lock ? (running = run()) : true))
  } catch {
    return running ?? run()
  }
}

/** As many of the first events as one request may carry. */
function within(events: readonly Stored[]): Stored[] {
  let bytes = 0
  return events.filter(({ json }, index) => (bytes += encoder.encode(json).length + 64) <= BODY_BYTES || !index)
}

function body(events: readonly Stored[]): string {
  const sentAt = `,"sentAt":"${new Date().toISOString()}"}`
  return `{"events":[${events.map(({ json }) => json.slice(0, -1) + sentAt).join(',')}]}`
}

function timeOf(id: string): number {
  return parseInt(id.slice(0, 8) + id.slice(9, 13), 16)
}

/** Remembers the newest event that may have arrived; the only storage that is sure to be written as a page is left. */
function remember(batch: readonly Stored[]): void {
  const newest = (batch[batch.length - 1] as Stored).id
  try {
    if (newest > remembered()) localStorage[TRIED] = newest
  } catch {}
}

function remembered(): string {
  try {
    return (localStorage[TRIED] as string | undefined) ?? ''
  } catch {
    return ''
  }
}
