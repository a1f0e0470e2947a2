// What is pushed while somebody looks: struggle, decisions and outcomes as they happen, and incidents.
import { signal } from '@preact/signals'
import { useEffect } from 'preact/hooks'
import type { BudgetAlarm, Happening, Happenings, WatchedInsight, WatchedInsights } from './answers.ts'

const MOST = 200
const AGAIN_SECONDS = 10

/** Whether everything that happens is pushed; until then, and while the stream is away, lists are asked instead. */
export const isLive = signal(false)
/** Whether the reader lets it go on. */
export const isPaused = signal(false)
/** Newest first. */
export const happened = signal<readonly Happening[]>([])
/** How much more there was than could be shown. */
export const leftOut = signal(0)

/** What the watch tells of, the one that opened last first. */
export const incidents = signal<readonly WatchedInsight[]>([])
/** The budgets of days that are nearly used, or used; the one that was found last first. */
export const alarms = signal<readonly BudgetAlarm[]>([])

/** Listens while the page is seen. */
export const useLive = (): void => useStream('/api/happenings/stream', 'happenings', take, () => (isLive.value = false))

/** Listens to incidents while the page is seen. */
export const useIncidents = (): void => useStream<WatchedInsights>('/api/insights/stream', 'incidents', (told) => {
  incidents.value = updated(incidents.value, told)
  const others = told.isSnapshot ? [] : alarms.value.filter(({ alarmId }) => !told.budgetAlarms.some((each) => each.alarmId === alarmId))
  alarms.value = [...told.budgetAlarms, ...others].sort((one, other) => (one.found < other.found ? 1 : -1))
})

/** What is known after something was told. */
export function updated(known: readonly WatchedInsight[], { isSnapshot, incidents: told }: WatchedInsights): readonly WatchedInsight[] {
  const others = isSnapshot ? [] : known.filter(({ insightId }) => !told.some((each) => each.insightId === insightId))
  return [...told, ...others].sort((one, other) => (one.opened < other.opened ? 1 : -1))
}

/** Listens to a stream of events while the page is seen; `lost` says that it is away. */
export function useStream<T>(path: string, name: string, told: (data: T) => void, lost = (): unknown => 0): void {
  useEffect(() => {
    let source: EventSource | undefined
    let timer = 0
    const stop = (): void => {
      clearTimeout(timer)
      source?.close()
      source = undefined
      lost()
    }
    const begin = (): void => {
      stop()
      if (document.hidden) return
      source = new EventSource(path)
      source.addEventListener(name, ({ data }) => told(JSON.parse(data) as T))
      source.onerror = () => {
        stop()
        timer = setTimeout(begin, AGAIN_SECONDS * 1000)
      }
    }
    begin()
    document.addEventListener('visibilitychange', begin)
    return () => {
      document.removeEventListener('visibilitychange', begin)
      stop()
    }
  }, [])
}

function take({ happenings, leftOutCount }: Happenings): void {
  isLive.value = true
  if (isPaused.value || !(happenings.length || leftOutCount)) return
  leftOut.value += leftOutCount
  happened.value = merged(happened.value, happenings)
}

/** What was known with what has come, newest first. A happening that is told again counts once. */
export function merged(known: readonly Happening[], come: readonly Happening[]): readonly Happening[] {
  const ids = new Set(known.map(identity))
  const fresh = come.filter((each) => !ids.has(identity(each)) && ids.add(identity(each)))
  return [...fresh.reverse(), ...known].slice(0, MOST)
}

const identity = ({ kind, decisionId, outcome, signal: found, target }: Happening): string => [kind, decisionId, outcome, found, target].join(' ')

/** Of the happenings, newest first, those that say something new: a decision does if it is for help, or if the level changed. */
export function news(all: readonly Happening[]): (Happening & { before?: string })[] {
  const levels = new Map<string, string>()
  const found: (Happening & { before?: string })[] = []
  for (const each of [...all].reverse()) {
    const before = levels.get(each.userId)
    levels.set(each.userId, each.level)
    if (each.kind !== 'decision' || each.interventionId || before !== each.level) found.push(before && before !== each.level ? { ...each, before } : each)
  }
  return found.reverse()
}

/** The latest happening of each user, newest first: their risk as it is now. */
export function risks(all: readonly Happening[]): Happening[] {
  const seen = new Set<string>()
  return all.filter(({ userId }) => !seen.has(userId) && seen.add(userId))
}
