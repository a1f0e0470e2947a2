import { newId } from './ids.ts'
import { sender, type Sender } from './sender.ts'
import { openStore } from './store.ts'

/** What happened, in the words of the server's `eventType`. */
export type EventType =
  | 'page_view'
  | 'feature_interaction'
  | 'click'
  | 'form_start'
  | 'form_submit'
  | 'form_abandon'
  | 'error'
  | 'retry'
  | 'help_request'
  | 'task_success'
  | 'task_failure'
  | 'struggle_signal'
  | 'video_playback'
  | 'purchase'
  | 'session_start'
  | 'session_end'
  | 'identify'

export type Properties = Record<string, unknown>

export interface Options {
  /** Where the gateway is. Example: `https://mesh.example`. */
  server: string
  /** A public key, `jm_pk_…`; none where the gateway asks for none. */
  key?: string | undefined
  /** `pending` until the page calls `consent`: then nothing is gathered, stored or sent before. Default: `granted`. */
  consent?: 'granted' | 'pending' | undefined
  /** Whether Global Privacy Control counts as a refusal until the page calls `consent`. Default: true. */
  isGpcHonoured?: boolean | undefined
  /** Parts that watch the page, such as `signs` and `video`. */
  parts?: readonly Part[] | undefined
}

/** Who uses the page. */
export interface User {
  /** The id that events bear: the known user's, else the anonymous one. Undefined without consent. */
  id: string | undefined
  /** What proves to the server who the user is. */
  token: string | undefined
}

export interface Tracker {
  readonly options: Options
  /** Records what happened; resolves once it will survive the page. */
  track(type: EventType, properties?: Properties): Promise<void>
  /** Records a page view; the tracker does this by itself whenever the address changes. */
  page(properties?: Properties): Promise<void>
  /** Says who the user is, and with a token of your server proves it. */
  identify(userId: string, proof?: { token?: string }): Promise<void>
  /** Forgets the user, as after a logout. */
  reset(): Promise<void>
  /** Grants or refuses consent; a refusal also removes what is stored. */
  consent(isGranted: boolean): Promise<void>
  /** Sends at once what waits. */
  flush(): void
  /** Calls back with the user, now and whenever that changes. */
  onUser(call: (user: User) => void): void
}

/** What parts work with. */
export interface Core {
  /** Records what happened, at this time in Unix milliseconds. A system's events are nobody's trouble. */
  record(type: EventType, properties: Properties, details?: Details): Promise<void>
  /** Calls back as soon as the address has changed within the page. */
  onNavigation(call: () => void): void
}

export interface Details {
  at?: number
  isUrgent?: boolean
  isSystem?: boolean
}

/** Watches the page, from the first consent on. */
export type Part = (core: Core) => void

const SETTLE_MS = 300
const SESSION_MS = 30 * 60_000
/** How exactly it is remembered when a session was last used. */
const TOUCH_MS = 5000
const MOST_BYTES = 30_000
const ANONYMOUS = 'journeymesh.anonymous'
const SESSION = 'journeymesh.session'
/** Help depends on these: they do not wait for others. */
const URGENT = new Set<EventType>([
  'error',
  'retry',
  'help_request',
  'task_success',
  'task_failure',
  'struggle_signal',
  'form_abandon',
  'purchase',
  'identify',
])

export function createTracker(options: Options): Tracker & Core {
  const { server, key } = options
  const hasGpc = (navigator as { globalPrivacyControl?: boolean }).globalPrivacyControl === true
  let isGranted = options.consent !== 'pending' && !(hasGpc && options.isGpcHonoured !== false)
  let isStarted = false
  let userId: string | undefined
  let token: string | undefined
  let sending: Promise<Sender> | undefined
  let current = ''
  // Once, because asking costs more than all the rest of an event.
  const { timeZone } = Intl.DateTimeFormat().resolvedOptions()
  const onUser: ((user: User) => void)[] = []
  const onNavigation: (() => void)[] = []

  const headers = (): Record<string, string> => ({
    ...(key && { authorization: `Bearer ${key}` }),
    ...(token && { 'x-journeymesh-user-token': token }),
  })
  const opened = (): Promise<Sender> =>
    (sending ??= openStore().then((store) => sender(store, new URL('/api/events/track', server).href, headers)))
  const user = (): User => ({ id: isGranted ? (userId ?? anonymousId()) : undefined, token })
  const tell = (): void => onUser.forEach((call) => call(user()))

  async function record(type: EventType, properties: Properties, details: Details = {}): Promise<void> {
    if (!isGranted) return
    const id = newId()
    const at = details.at ?? Date.now()
    const json = JSON.stringify({
      eventId: id,
      eventType: type,
      userId,
      anonymousId: anonymousId(),
      sessionId: sessionId(),
      timestamp: new Date(at).toISOString(),
      properties: { page: current || address(), ...properties },
      context: {
        platform: 'web',
        timeZone,
        userAgent: navigator.userAgent.slice(0, 512),
        automated: navigator.webdriver || undefined,
        active: details.isSystem ? false : undefined,
      },
    })
    if (json.length > MOST_BYTES) return
    await (await opened()).add({ id, json }, details.isUrgent ?? URGENT.has(type))
  }

  function page(properties: Properties = {}, at?: number): Promise<void> {
    current = address()
    return record('page_view', { title: text(document.title), referrer: text(document.referrer), ...properties }, { at: at ?? Date.now() })
  }

  /** Once, at the first consent. */
  function start(): void {
    if (isStarted || !isGranted) return
    isStarted = true
    const [loaded] = performance.getEntriesByType('navigation') as PerformanceNavigationTiming[]
    void page(loaded?.type === 'reload' ? { isRefresh: true } : {})
    watchAddress()
    for (const part of options.parts ?? []) part(tracker)
    tell()
    // What an earlier page could not send.
    void opened().then((opened) => opened.flush())
  }

  function watchAddress(): void {
    let settling: ReturnType<typeof setTimeout> | undefined
    const moved = (): void => {
      if (address() === current) return
      onNavigation.forEach((call) => call())
      const at = Date.now()
      clearTimeout(settling)
      settling = setTimeout(() => address() !== current && void page({}, at), SETTLE_MS)
    }
    const { navigation } = window as { navigation?: EventTarget }
    if (navigation) navigation.addEventListener('currententrychange', moved)
    else {
      for (const name of ['pushState', 'replaceState'] as const) {
        const own = history[name]
        history[name] = function (this: History, ...parameters) {
          own.apply(this, parameters)
          moved()
        }
      }
      addEventListener('popstate', moved)
      addEventListener('hashchange', moved)
    }
    addEventListener('pageshow', ({ persisted }) => persisted && void page())
  }

  const tracker: Tracker & Core = {
    options,
    record,
    onNavigation: (call) => void onNavigation.push(call),
    onUser(call) {
      onUser.push(call)
      call(user())
    },
    track: (type, properties = {}) => record(type, properties),
    page,
    async identify(id, proof = {}) {
      const isNew = id !== userId || proof.token !== token
      userId = id
      token = proof.token
      tell()
      if (!isNew) return
      // With a public key only a proven user is linked to what came before.
      if (token || !key) await record('identify', {})
      if (isGranted) (await opened()).resume()
    },
    async reset() {
      if (isGranted) (await opened()).flush()
      userId = token = undefined
      remove(ANONYMOUS)
      remove(SESSION)
      tell()
    },
    async consent(granted) {
      isGranted = granted
      if (granted) return start()
      if (sending) await (await sending).clear()
      remove(ANONYMOUS)
      remove(SESSION)
      tell()
    },
    flush: () => void (isGranted && opened().then((opened) => opened.flush())),
  }
  // Whoever is identified at once has been there from the first page view on.
  queueMicrotask(start)
  return tracker
}

/** The page's name: path, query and the route behind a hash. */
function address(): string {
  const { pathname, search, hash } = location
  return pathname + search + (/^#!?\//.test(hash) ? hash : '')
}

/** A text that is one: elements of a page can take the place of members of the document. */
function text(value: unknown): string | undefined {
  return typeof value === 'string' && value ? value : undefined
}

const memory: Record<string, string> = {}

function read(name: string): string | undefined {
  try {
    return (localStorage[name] as string | undefined) ?? memory[name]
  } catch {
    return memory[name]
  }
}

function write(name: string, value: string): void {
  memory[name] = value
  try {
    localStorage[name] = value
  } catch {
    // Rather nothing than what is out of date.
    try {
      localStorage.removeItem(name)
    } catch {}
  }
}

function remove(name: string): void {
  delete memory[name]
  try {
    localStorage.removeItem(name)
  } catch {}
}

function anonymousId(): string {
  const known = read(ANONYMOUS)
  if (known) return known
  const made = newId()
  write(ANONYMOUS, made)
  return made
}

function sessionId(): string {
  const [known, last] = (read(SESSION) ?? '').split(' ')
  const unused = Date.now() - Number(last)
  const id = known && unused < SESSION_MS ? known : newId()
  if (id !== known || !(Math.abs(unused) < TOUCH_MS)) write(SESSION, `${id} ${Date.now()}`)
  return id
}
