import type { Core } from '../tracker.ts'
import { IGNORED, nameOf, nearest, roleOf, said } from './elements.ts'

/** How long after a click a change of the page counts as its effect. */
const EFFECT_MS = 2500
/** Whoever clicks again and again does not wait as long: then the last click decides after this time. */
const IMPATIENT_MS = 1000
const CHAIN_MS = 1000
const CHAIN_PIXELS = 30
const CHAIN_CLICKS = 3
const SCROLL_MS = 300
const SELECTION_MS = 100
const FOCUS_MS = 100
const ERROR_MS = 500
/** What changes by itself, as a clock, says nothing about a click: twice within a second, and the last time shortly before. */
const NOISE_GAP_MS = 1000
const NOISE_MS = 2000
const MICROTASKS = 8
const MOST_RECORDS = 200
const VALUE_MS = 500
/** A click that brings somebody back to the window is not meant for what it meets. */
const RETURN_MS = 1000

/** Where a click leaves the page alone on purpose, or nobody can see what it does. */
const UNWATCHED = 'input:not([type=button],[type=submit],[type=reset],[type=image]),textarea,select,option,canvas,video,audio,embed,object,iframe,[contenteditable=""],[contenteditable=true]'
const ACTIONABLE = 'a,button,input,select,textarea,summary,label,[role],[onclick],[tabindex],[data-name]'

interface Watched {
  at: number
  element: Element
  x: number
  y: number
  isActionable: boolean
  isKeyboard: boolean
  effect: boolean
  value: boolean
  selection: boolean
  error: boolean
  isTold: boolean
  timer: ReturnType<typeof setTimeout> | undefined
}

/** Records clicks with what they did: changed the page, a value or the selection, brought an error, or nothing. */
export function watchClicks(core: Core): void {
  let pending: Watched[] = []
  /** Clicks on what is not made for clicking, which only count as a run. */
  let aside: Watched[] = []
  let returned = -Infinity
  /** When nodes last changed by themselves, and whether they do so often. */
  const alone = new WeakMap<Node, { at: number; isOften: boolean }>()
  /** While the page's own handlers of a click run, whatever changes does so because of it. */
  let isHandling = false

  const within = (ms: number, mark: (click: Watched) => void): void => {
    const now = performance.now()
    for (const click of pending) if (now - click.at <= ms) mark(click)
  }
  // Told soon, so that it does not come after what follows; not at once, as a change of the value or the selection may come with it.
  const hasEffect = (click: Watched): void => {
    if (!click.effect) setTimeout(tell, SELECTION_MS, click)
    click.effect = true
  }

  const observer = new MutationObserver((records) => {
    const now = performance.now()
    let isNews = false
    // Without a click, a few tell what moves by itself.
    for (const { target, addedNodes, removedNodes } of pending.length ? records : records.slice(0, MOST_RECORDS)) {
      if (isHelp(target) || isHelp(addedNodes[0]) || isHelp(removedNodes[0])) continue
      const last = alone.get(target)
      const isNoise = !!last?.isOften && now - last.at < NOISE_MS
      if (pending.length && (isHandling || !isNoise)) isNews = true
      if (!pending.length || isNoise) alone.set(target, { at: now, isOften: !!last && now - last.at < NOISE_GAP_MS })
    }
    if (isNews) within(EFFECT_MS, hasEffect)
  })
  const observed = { subtree: true, childList: true, attributes: true, characterData: true }
  observer.observe(document, observed)

  const on = <K extends keyof DocumentEventMap>(names: K[], act: (event: DocumentEventMap[K]) => void): void =>
    names.forEach((name) => addEventListener(name, act as EventListener, { capture: true, passive: true }))

  on(['scroll'], () => within(SCROLL_MS, hasEffect))
  on(['input', 'change'], () => within(VALUE_MS, (click) => (click.value = true)))
  on(['submit', 'invalid', 'copy', 'fullscreenchange', 'toggle'], ({ target }) => isHelp(target) || within(EFFECT_MS, hasEffect))
  on(['transitionrun', 'animationstart'], ({ target }) =>
    within(EFFECT_MS, (click) => !click.element.contains(target as Node) && hasEffect(click)),
  )
  on(['focusin'], ({ target }) =>
    within(FOCUS_MS, (click) => !(target as Element).contains(click.element) && hasEffect(click)),
  )
  on(['selectionchange'], () => {
    if (!getSelection()?.isCollapsed) within(SELECTION_MS, (click) => (click.selection = true))
  })
  on(['visibilitychange'], () => {
    returned = performance.now()
    within(EFFECT_MS, hasEffect)
  })
  for (const name of ['blur', 'beforeprint'] as const) addEventListener(name, () => within(EFFECT_MS, hasEffect))
  // A link to `#` leads nowhere, though it navigates.
  addEventListener('hashchange', () => location.hash && within(EFFECT_MS, hasEffect))
  const { navigation } = window as { navigation?: EventTarget }
  navigation?.addEventListener('navigate', (event) => {
    if (!(event as Event & { destination: { sameDocument: boolean } }).destination.sameDocument) within(EFFECT_MS, hasEffect)
  })
  addEventListener('focus', ({ target }) => {
    if (target === window) returned = performance.now()
  })
  for (const name of ['error', 'unhandledrejection'] as const) {
    addEventListener(name, () => within(ERROR_MS, failed), true)
  }
  core.onNavigation(() => within(EFFECT_MS, hasEffect))
  // What leads away has an effect.
  addEventListener('pagehide', () => {
    within(EFFECT_MS, hasEffect)
    pending.forEach(judge)
  }, true)

  const handled = (): void => {
    isHandling = false
  }
  addEventListener('click', clicked, { capture: true, passive: true })
  // After the page's handlers and what they leave to microtasks, as frameworks do; if a handler stops the event, a timer must do.
  addEventListener('click', () => {
    let rest = Promise.resolve()
    for (let i = 0; i < MICROTASKS; i++) rest = rest.then(() => {})
    void rest.then(handled)
  })

  function clicked(event: MouseEvent): void {
    // A program clicks for an effect, such as a download.
    if (!event.isTrusted) return within(EFFECT_MS, hasEffect)
    const whole = event.composedPath()
    const target = whole.find((each): each is Element => each instanceof Element)
    if (!target || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey || event.button) return
    const now = performance.now()
    const find = nearest(whole)
    if (now - returned < RETURN_MS || find(IGNORED)) return
    for (const node of whole) if (node instanceof ShadowRoot) observer.observe(node, observed)
    const actionable = find(ACTIONABLE) ?? (getComputedStyle(target).cursor === 'pointer' ? target : undefined)
    const element = actionable ?? target
    const click: Watched = {
      at: now,
      element,
      x: event.pageX,
      y: event.pageY,
      isActionable: !!actionable,
      isKeyboard: !event.detail,
      effect: isClosed(target) || !!find(UNWATCHED) || leadsAway(find('a[href],area[href]')),
      value: false,
      selection: false,
      error: false,
      isTold: false,
      timer: undefined,
    }
    isHandling = true
    setTimeout(handled)
    const run = pending.filter((each) => now - each.at <= CHAIN_MS * 2 && isNear(each, click))
    const delay = run.length >= CHAIN_CLICKS - 1 ? IMPATIENT_MS : EFFECT_MS
    pending.push(click)
    if (click.effect) setTimeout(tell, SELECTION_MS, click)
    for (const each of delay < EFFECT_MS ? [...run, click] : [click]) {
      clearTimeout(each.timer)
      each.timer = setTimeout(judge, delay, each)
    }
  }

  function failed(click: Watched): void {
    click.error = true
    tell(click)
  }

  function judge(click: Watched): void {
    clearTimeout(click.timer)
    pending = pending.filter((each) => each !== click)
    tell(click)
  }

  function tell(click: Watched): void {
    if (click.isTold) return
    click.isTold = true
    const isFruitless = !click.effect && !click.value && !click.selection
    if (click.isActionable) return record(click)
    if (!isFruitless) return
    aside = [...aside.filter((each) => click.at - each.at <= CHAIN_MS * 2 && isNear(each, click)), click]
    if (aside.length < CHAIN_CLICKS) return
    aside.forEach(record)
    aside = []
  }

  function record(click: Watched): void {
    const { element, effect, value, selection, error } = click
    const hasPlace = !click.isKeyboard
    void core.record(
      'click',
      {
        element: nameOf(element),
        role: roleOf(element),
        x: hasPlace ? Math.round(click.x) : undefined,
        y: hasPlace ? Math.round(click.y) : undefined,
        effectObserved: effect || value,
        errorObserved: error || undefined,
        selectionChanged: selection || undefined,
        valueChanged: value || undefined,
      },
      { at: Date.now() - performance.now() + click.at, isUrgent: error || !(effect || value) },
    )
  }
}

/** Whether nobody can see what is in the element: a component with a closed shadow. */
function isClosed(element: Element): boolean {
  return element.localName.includes('-') && !element.shadowRoot
}

/** Whether this is the widget's card: help that comes is no effect of a click. */
function isHelp(node: EventTarget | null | undefined): boolean {
  return (node as Element | null | undefined)?.localName === 'journeymesh-help'
}

function isNear(one: Watched, other: Watched): boolean {
  return one.element === other.element || Math.hypot(one.x - other.x, one.y - other.y) <= CHAIN_PIXELS
}

/** Whether the browser itself follows a click on a link to somewhere else: another page, tab or program, or a file. */
function leadsAway(link: Element | null | undefined): boolean {
  return !!link && !/^(#|javascript:|$)/i.test(said(link, 'href')?.trim() ?? '')
}
