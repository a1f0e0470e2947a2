import type { Tracker, User } from '../tracker/tracker.ts'
import { card, type Answer } from './card.ts'
import { follow, report, type Help, type Person, type Place } from './help.ts'
import { textsIn, type Texts } from './texts.ts'

export type { Help } from './help.ts'

export interface Options extends Place {
  /** Texts that replace ours. */
  texts?: Partial<Texts> | undefined
  /** Called with each answer, so that the page opens its chat or tutorial. */
  answered?: ((help: Help, answer: Answer) => void) | undefined
}

/** Shows the help that waits for whoever the tracker says uses the page: in one tab, while it is visible. */
export function showHelp(options: Options, tracker: Pick<Tracker, 'onUser'>): void {
  const { server, key } = options
  const place = { server, key }
  let person: Person | undefined
  let following = new AbortController()
  /** Ends the wait for a turn to show help, or the turn. */
  let turn = new AbortController()
  let current: Help | undefined
  let isUp = false
  const over = new Set<string>()
  const tabs = new BroadcastChannel('journeymesh.help')
  const ui = card(textsIn(document.documentElement.lang || navigator.language, options.texts), (help, answer) => {
    tabs.postMessage(help.id)
    end(help.id)
    if (person) void report(place, person, help.id, answer)
    options.answered?.(help, answer)
  })
  tabs.onmessage = ({ data }) => end(data as string)

  function end(id: string): void {
    over.add(id)
    if (current?.id === id) withdraw()
  }

  function withdraw(): void {
    turn.abort()
    current = undefined
    isUp = false
    ui.hide()
  }

  function told(help: Help | undefined): void {
    if (!help || over.has(help.id)) return withdraw()
    if (current?.id === help.id) {
      current = help
      if (isUp) ui.show(help)
      return
    }
    withdraw()
    current = help
    const { signal } = (turn = new AbortController())
    const show = (): Promise<void> => {
      isUp = true
      ui.show(current as Help)
      if (person) void report(place, person, help.id, 'shown')
      return new Promise((resolve) => signal.addEventListener('abort', () => resolve()))
    }
    // The tab that holds the lock shows it; once that tab is closed or hidden, another one does.
    // Where a page may use no locks, each tab shows it.
    const turns = navigator.locks?.request(`journeymesh.help.${help.id}`, { signal }, show) ?? show()
    turns.catch(() => (signal.aborted ? undefined : show()))
  }

  function restart(): void {
    following.abort()
    following = new AbortController()
    if (document.visibilityState === 'hidden') withdraw()
    else if (person) void follow(place, person, following.signal, told)
  }

  tracker.onUser(({ id, token }: User) => {
    if (id === person?.id && token === person?.token) return
    withdraw()
    person = id === undefined ? undefined : { id, token }
    restart()
  })
  document.addEventListener('visibilitychange', restart)
  addEventListener('pagehide', () => following.abort())
  addEventListener('pageshow', ({ persisted }) => persisted && restart())
}
