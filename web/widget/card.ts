import type { Help } from './help.ts'
import { kindOf, type Texts } from './texts.ts'

const STYLE = `
:host{--ink:var(--journeymesh-ink,#1d2430);--soft:var(--journeymesh-soft,#566070);--ground:var(--journeymesh-ground,#fff);
--line:var(--journeymesh-line,#d8dde5);--accent:var(--journeymesh-accent,#0b5fd0);--on-accent:var(--journeymesh-on-accent,#fff);
all:initial;position:fixed;z-index:2147483000;inset-block-end:var(--journeymesh-inset,16px);inset-inline-end:var(--journeymesh-inset,16px);
max-inline-size:calc(100% - 2*var(--journeymesh-inset,16px));color:var(--ink);font:var(--journeymesh-font,16px/1.5 system-ui,sans-serif)}
@media(prefers-color-scheme:dark){:host{--ink:var(--journeymesh-ink,#e8ecf2);--soft:var(--journeymesh-soft,#a6b0bf);
--ground:var(--journeymesh-ground,#1b2129);--line:var(--journeymesh-line,#39424f);--accent:var(--journeymesh-accent,#7fb3ff);
--on-accent:var(--journeymesh-on-accent,#0b1a2e)}}
[role=status]{position:absolute;inline-size:1px;block-size:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
[role=dialog]{position:relative;box-sizing:border-box;inline-size:22rem;max-inline-size:100%;padding:20px;background:var(--ground);
border:1px solid var(--line);border-radius:var(--journeymesh-radius,14px);box-shadow:0 12px 40px #0003;animation:in .18s ease-out}
[hidden]{display:none}
@keyframes in{from{opacity:0;transform:translateY(8px)}}
@media(prefers-reduced-motion:reduce){[role=dialog]{animation:none}}
h2{margin:0;padding-inline-end:32px;font:600 1.05em/1.4 inherit;font-size:1.05em;font-weight:600}
p{margin:6px 0 16px;color:var(--soft);overflow-wrap:anywhere}
div{display:flex;flex-wrap:wrap;gap:8px}
button{min-block-size:40px;padding:0 16px;font:inherit;font-weight:600;color:var(--ink);background:none;border:1px solid var(--line);
border-radius:999px;cursor:pointer}
button:first-child{color:var(--on-accent);background:var(--accent);border-color:var(--accent)}
button:focus-visible{outline:3px solid var(--accent);outline-offset:2px}
.close{position:absolute;inset-block-start:12px;inset-inline-end:12px;min-block-size:32px;inline-size:32px;padding:0;border-color:transparent;font-size:20px;line-height:1}
`

export type Answer = 'accepted' | 'declined'

export interface Card {
  /** Shows help; better words for what is shown replace the words. */
  show(help: Help): void
  /** Removes what is shown, and returns the focus to where it was. */
  hide(): void
}

/**
 * The card at the corner of the page: a dialog that is not modal and takes no focus. A status tells of it, F6 leads to it and back, Esc
 * closes it. No text of a message becomes markup.
 */
export function card(texts: Texts, answered: (help: Help, answer: Answer) => void): Card {
  const host = document.createElement('journeymesh-help')
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

  const answer = (given: Answer): void => {
    const help = shown
    hide()
    if (help) answered(help, given)
  }
  accept.onclick = () => answer('accepted')
  decline.onclick = close.onclick = () => answer('declined')

  addEventListener('keydown', (event) => {
    if (!shown || event.defaultPrevented) return
    const isInside = document.activeElement === host
    if (event.key === 'F6') {
      event.preventDefault()
      if (isInside) return giveBack()
      before = document.activeElement
      accept.focus()
    } else if (event.key === 'Escape' && (isInside || document.activeElement === document.body)) {
      event.preventDefault()
      answer('declined')
    }
  })

  function giveBack(): void {
    if (before instanceof HTMLElement && before.isConnected) before.focus()
    else (root.activeElement as HTMLElement | null)?.blur()
  }

  function hide(): void {
    if (document.activeElement === host) giveBack()
    dialog.hidden = true
    status.textContent = ''
    shown = undefined
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
      document.body.appendChild(host)
      dialog.hidden = false
      status.textContent = `${heading} ${texts.reach}`
    },
    hide,
  }
}
