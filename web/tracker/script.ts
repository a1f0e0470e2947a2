// The tracker as a script: <script async src="https://mesh.example/t.js" data-key="jm_pk_…"></script>
import { createTracker, type Core, type Part, type Tracker } from './tracker.ts'

type Call = [name: 'track' | 'page' | 'identify' | 'reset' | 'consent' | 'flush' | 'onUser', ...parameters: unknown[]]
type Page = { journeymesh?: Call[] | Tracker }

const { src, dataset } = document.currentScript as HTMLScriptElement
const page = window as Page
const early = page.journeymesh
const load =
  (name: string): Part =>
  (core) =>
    void import(new URL(`t/${name}.js`, src).href).then(({ start }: { start: Part }) => start(core), () => {})

// An element whose id is `journeymesh` is a member of the window, too.
if (!early || !('track' in early)) {
  const tracker = createTracker({
    server: dataset['server'] ?? new URL(src).origin,
    key: dataset['key'],
    consent: dataset['consent'] === 'pending' ? 'pending' : 'granted',
    isGpcHonoured: dataset['gpc'] !== 'ignore',
    parts: [load('signs'), load('video')],
  })
  const call = ([name, ...parameters]: Call): unknown => (tracker[name] as (...all: unknown[]) => unknown)(...parameters)
  page.journeymesh = Object.assign(tracker as Tracker & Core, { push: call }) as Tracker
  if (Array.isArray(early)) early.forEach(call)
}
