// The widget as a script, beside the tracker: <script async src="https://mesh.example/widget.js"></script>
// An answer is also an event of the window: journeymesh:accepted or journeymesh:declined, with the help in `detail`.
import type { Tracker } from '../tracker/tracker.ts'
import { showHelp } from './widget.ts'

const { src, dataset } = document.currentScript as HTMLScriptElement
const page = window as { journeymesh?: { push(call: unknown[]): unknown } }
// An element whose id is `journeymesh` is a member of the window, too.
if (!page.journeymesh?.push) page.journeymesh = []

const tracker: Pick<Tracker, 'onUser'> = { onUser: (call) => void page.journeymesh?.push(['onUser', call]) }
showHelp(
  {
    server: dataset['server'] ?? new URL(src).origin,
    key: dataset['key'],
    answered: (help, answer) => dispatchEvent(new CustomEvent(`journeymesh:${answer}`, { detail: help })),
  },
  tracker,
)
