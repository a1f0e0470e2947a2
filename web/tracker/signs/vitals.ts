import type { Core } from '../tracker.ts'

interface Shift extends PerformanceEntry {
  value: number
  hadRecentInput: boolean
}

interface Interaction extends PerformanceEntry {
  interactionId: number
}

const SHIFT_GAP_MS = 1000
const SHIFT_WINDOW_MS = 5000
/** Of so many interactions one may be ignored (web.dev/articles/inp). */
const INTERACTIONS_PER_OUTLIER = 50

/** Records once, as the page is hidden first, how it felt: LCP, INP, FCP and TTFB in milliseconds, CLS. */
export function watchVitals(core: Core): void {
  let lcp: number | undefined
  let fcp: number | undefined
  let cls = 0
  let shifted = { value: 0, began: 0, last: 0 }
  const longest = new Map<number, number>()
  let isDone = false

  const observe = (type: string, take: (entry: PerformanceEntry) => void, options: object = {}): void => {
    try {
      new PerformanceObserver((list) => list.getEntries().forEach(take)).observe({ type, buffered: true, ...options })
    } catch {}
  }
  observe('largest-contentful-paint', ({ startTime }) => (lcp = startTime))
  observe('paint', ({ name, startTime }) => name === 'first-contentful-paint' && (fcp = startTime))
  observe('layout-shift', (entry) => {
    const { value, hadRecentInput, startTime } = entry as Shift
    if (hadRecentInput) return
    const isSame = startTime - shifted.last < SHIFT_GAP_MS && startTime - shifted.began < SHIFT_WINDOW_MS
    shifted = { value: (isSame ? shifted.value : 0) + value, began: isSame ? shifted.began : startTime, last: startTime }
    cls = Math.max(cls, shifted.value)
  })
  observe(
    'event',
    (entry) => {
      const { interactionId, duration } = entry as Interaction
      if (interactionId) longest.set(interactionId, Math.max(longest.get(interactionId) ?? 0, duration))
    },
    { durationThreshold: 40 },
  )

  const tell = (): void => {
    if (isDone || document.visibilityState !== 'hidden') return
    isDone = true
    const [loaded] = performance.getEntriesByType('navigation') as PerformanceNavigationTiming[]
    const slowest = [...longest.values()].sort((one, other) => other - one)
    const inp = slowest[Math.floor(slowest.length / INTERACTIONS_PER_OUTLIER)]
    const whole = (ms: number | undefined): number | undefined => (ms === undefined ? undefined : Math.round(ms))
    const properties = { lcp: whole(lcp), inp: whole(inp), fcp: whole(fcp), ttfb: whole(loaded?.responseStart), cls: Math.round(cls * 1000) / 1000 }
    void core.record('feature_interaction', { feature: 'web-vitals', ...properties }, { isSystem: true })
  }
  addEventListener('visibilitychange', tell, true)
}
