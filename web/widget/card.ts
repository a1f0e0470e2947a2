import type { Help } from './help.ts'
import { kindOf, type Texts } from './texts.ts'

const STYLE = `
:host{--ink:var(--journeymesh-ink,#1d2430);--soft:var(--journeymesh-soft,#566070);--ground:var(--journeymesh-ground,#fff);
--line:var(--journeymesh-line,#d8dde5);--accent:var(--journeymesh-accent,#0b5fd0);--on-accent:var(--journeymesh-on-accent,#fff);
all:initial;position:fixed;z-index:2147483000;inset:auto;inset-block-end:var(--journeymesh-inset,16px);inset-inline-end:var(--journeymesh-inset,16px);
max-inline-size:calc(100% - 2*var(--journeymesh-inset,16px));color:var(--ink);font:var(--journeymesh-font,16px/1.5 system-ui,sans-serif)}
@media(prefers-color-scheme:dark){:host{--ink:var(--journeymesh-ink,#e8ecf2);--soft:var(--journeymesh-soft,#a6b0bf);
--ground:var(--journeymesh-ground,#1b2129);--line:var(--journeymesh-line,#39424f);--accent:var(--journeymesh-accent,#7fb3ff);
--on-accent:var(--journeymesh-on-accent,#0b1a2e)}}
[role=status]{position:absolute;inline-size:1px;block-size:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
[role=dialog]{position:relative;box-sizing:border-box;inline-size:22rem;max-inline-size:100%;padding:20px;background:var(--ground);
border:1px solid var(--line);border-radius:var(--journeymesh-radius,14px);box-shadow:0 12px 40px #0003;animation:in .18s ease-out}
[hidden]{display:none}
.below::before,.above::before{content:"";position:absolute;left:var(--x);inline-size:12px;block-size:12px;margin-left:-7px;background:inherit;
border:inherit;border-width:1px 0 0 1px;rotate:45deg}
.below::before{top:-7px}
.above::before{bottom:-7px;rotate:225deg}
@keyframes in{from{opacity:0;transform:translateY(8px)}}
@media(prefers-reduced-motion:reduce){[role=dialog]{animation:none}}
h2{margin:0;padding-inline-end:32px;font:600 1.05em/1.4 inherit;font-size:1.05em;font-weight:600}
p{margin:6px 0 16px;max-block-size:40vh;overflow:auto;color:var(--soft);overflow-wrap:anywhere}
div{display:flex;flex-wrap:wrap;gap:8px}
button{min-block-size:40px;padding:0 16px;font:inherit;font-weight:600;color:var(--ink);background:none;border:1px solid var(--line);
border-radius:999px;cursor:pointer}
button:first-child{color:var(--on-accent);background:var(--accent);border-color:var(--accent)}
button:focus-visible{outline:3px solid var(--accent);outline-offset:2px}
.close{position:absolute;inset-block-start:12px;inset-inline-end:12px;min-block-size:32px;inline-size:32px;padding:0;border-color:transparent;font-size:20px;line-height:1}
`

/** Between the card and the element it is about, in pixels. */
const GAP = 10
/** Between the card and the edge of the window, in pixels. */
const EDGE = 8
/** Screen readers tell of a change only in what they have seen before. */
const SEEN_MS = 100

export type Answer = 'accepted' | 'declined'

export interface Card {
  /** Shows help; better words for what is shown replace the words. */
  show(help: Help): void
  /** Removes what is shown, and returns the focus to where it was. */
  hide(): void
}

/**
 * The card beside the element that help is about, else at the corner of the page: a dialog that is not modal and takes no focus. A status
 * tells of it, F6 leads to it and back, Esc closes it. No text of a message becomes markup.
 */
export function card(texts: Texts, answered: (help: Help, answer: Answer) => void): Card {
  const host = document.createElement('journeymesh-help')
  // Above whatever the page stacks.
  host.popover = 'manual'
  const root = host.attachShadow({ mode: 'open' })
  const sheet = new CSSStyleSheet()
  sheet.replaceSync(STYLE)
  root.adoptedStyleSheets = [sheet]

  const make = <K extends keyof HTMLElementTagNameMap>(tag: K, attributes: Record<string, string>, parent: Node): HTMLElementTagNameMap[K] => {
    const made = document.createElement(tag)
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value)
    parent.appendChild(made)
    return made
  }
  const status = make('div', { role: 'status' }, root)
  const dialog = make('section', { role: 'dialog', 'aria-labelledby': 't', 'aria-describedby': 'm', hidden: '' }, root)
  const title = make('h2', { id: 't' }, dialog)
  const message = make('p', { id: 'm' }, dialog)
  const buttons = make('div', {}, dialog)
  const accept = make('button', { type: 'button' }, buttons)
  const decline = make('button', { type: 'button' }, buttons)
  const close = make('button', { type: 'button', class: 'close', 'aria-label': texts.close }, dialog)
  close.textContent = '×'
  let shown: Help | undefined
  let before: Element | null = null
  let telling: ReturnType<typeof setTimeout> | undefined

  const answer = (given: Answer): void => {
    const help = shown
    hide()
    if (help) answered(help, given)
  }
  accept.onclick = () => answer('accepted')
  decline.onclick = close.onclick = () => answer('declined')

  addEventListener('keydown', (event) => {
    if (!shown || event.defaultPrevented) return
    const { activeElement } = document
    const isInside = activeElement === host
    if (event.key === 'F6') {
      event.preventDefault()
      if (isInside) return giveBack()
      before = document.activeElement
      accept.focus()
    } else if (event.key === 'Escape' && (isInside || activeElement === document.body || anchorOf(shown)?.contains(activeElement))) {
      event.preventDefault()
      answer('declined')
    }
  })

  /** Makes the host the last in what can be reached: the page, or what is modal in it. Pages take foreign elements away, too. */
  function attach(): void {
    const parent = [...document.querySelectorAll('dialog:modal')].pop() ?? document.body
    if (host.parentNode === parent) return
    parent.appendChild(host)
    host.showPopover?.()
  }

  function place(): void {
    if (!shown) return
    attach()
    const at = anchorOf(shown)?.getBoundingClientRect()
    if (!at) {
      dialog.className = host.style.inset = ''
      return
    }
    const [width, height] = [dialog.offsetWidth, dialog.offsetHeight]
    const isBelow = at.bottom + GAP + height + EDGE <= innerHeight || at.top < GAP + height + EDGE
    const left = within(host.dir === 'rtl' ? at.right - width : at.left, document.documentElement.clientWidth - width)
    const top = within(isBelow ? at.bottom + GAP : at.top - GAP - height, innerHeight - height)
    host.style.inset = `${top}px auto auto ${left}px`
    dialog.className = isBelow ? 'below' : 'above'
    dialog.style.setProperty('--x', `${Math.min(Math.max(at.left + at.width / 2 - left, 2 * EDGE), width - 2 * EDGE)}px`)
  }

  // The card follows its element: scrolled, resized, moved by what is around it, or gone.
  const moves = new ResizeObserver(place)
  for (const name of ['scroll', 'resize', 'close', 'toggle']) addEventListener(name, place, { capture: true, passive: true })

  function giveBack(): void {
    if (before instanceof HTMLElement && before.isConnected) before.focus()
    else (root.activeElement as HTMLElement | null)?.blur()
  }

  function hide(): void {
    if (document.activeElement === host) giveBack()
    shown = undefined
    dialog.hidden = true
    moves.disconnect()
    clearTimeout(telling)
    status.textContent = ''
  }

  return {
    show(help) {
      const isNew = shown?.id !== help.id
      const [heading, yes, no] = texts[kindOf(help)]
      shown = help
      title.textContent = heading
      message.textContent = help.message
      accept.textContent = yes
      decline.textContent = no
      if (!isNew) return
      host.dir = getComputedStyle(document.body).direction
      // Last in the page, whatever was added since.
      host.remove()
      dialog.hidden = false
      place()
      for (const each of [anchorOf(help), dialog, document.body]) if (each) moves.observe(each)
      telling = setTimeout(() => (status.textContent = `${heading} ${texts.reach}`), SEEN_MS)
    },
    hide,
  }
}

/** The element that help is about: the page marks it with `data-journeymesh-help`, by the help's action or a word of its content. */
function anchorOf({ action, content = [] }: Help): Element | undefined {
  for (const word of [...content, action]) {
    const marked = document.querySelectorAll(`[data-journeymesh-help~="${CSS.escape(word)}"]`)
    const seen = [...marked].find((each) => each.getClientRects().length)
    if (seen) return seen
  }
  return undefined
}

/** As near to a place as the edges of the window allow, in pixels. */
function within(place: number, most: number): number {
  return Math.max(EDGE, Math.min(place, most - EDGE))
}
