const MOST = 80
const MOST_TEXTS = 50
/** Where somebody enters text, and what is no text to be seen. */
const UNTOLD = 'input,textarea,select,[contenteditable]:not([contenteditable=false]),script,style'

/** Whether an element matches. It is not asked itself, here and below: a form has its controls as members, by their names. */
export function isA(element: Element, selector: string): boolean {
  return Element.prototype.matches.call(element, selector)
}

/** An attribute, as far as it is told. */
export function said(element: Element, name: string): string | undefined {
  return Element.prototype.getAttribute.call(element, name)?.slice(0, MOST)
}

/** What finds the first element of an event's path that matches. Outside of shadows the browser itself looks, many times as fast. */
export function nearest(path: readonly EventTarget[]): (selector: string) => Element | null | undefined {
  const elements = path.filter((each): each is Element => each instanceof Element)
  const [first] = elements
  if (!first || path.some((each) => each instanceof ShadowRoot)) return (selector) => elements.find((each) => isA(each, selector))
  return (selector) => Element.prototype.closest.call(first, selector)
}

/** Here and within it the page asks not to watch what happens. */
export const IGNORED = '[data-journeymesh=ignore]'

/** What an element is called: as the page names it to us, by its id, its label, or the words on it. Never what was entered. */
export function nameOf(element: Element): string | undefined {
  const isButton = isA(element, 'input[type=button],input[type=submit],input[type=reset]')
  const names = ['data-name', 'id', 'aria-label', 'name', isButton ? 'value' : '', ' ', 'title', 'alt']
  for (const name of names) {
    const found = (name === ' ' ? wordsOf(element) : said(element, name))?.trim().replace(/\s+/g, ' ').slice(0, MOST)
    if (found) return found
  }
  return String(element.localName)
}

/** The first words on an element; it may be as large as the page. */
function wordsOf(element: Element): string {
  if (Element.prototype.closest.call(element, UNTOLD)) return ''
  const walker = document.createTreeWalker(element, NodeFilter.SHOW_ELEMENT | NodeFilter.SHOW_TEXT, (node) => {
    if (!(node instanceof Element)) return NodeFilter.FILTER_ACCEPT
    return isA(node, UNTOLD) ? NodeFilter.FILTER_REJECT : NodeFilter.FILTER_SKIP
  })
  let words = ''
  for (let i = 0; i < MOST_TEXTS && words.trim().length < MOST && walker.nextNode(); i++) words += ` ${walker.currentNode.nodeValue?.slice(0, 2 * MOST)}`
  return words
}

const ROLES: Record<string, string> = { number: 'spinbutton', range: 'slider', checkbox: 'checkbox', radio: 'radio' }

/** The ARIA role of an element, as it is said or as its tag has it. */
export function roleOf(element: Element): string | undefined {
  const role = said(element, 'role')
  if (role) return role.slice(0, 64)
  if (element instanceof HTMLInputElement) return ROLES[element.type]
  return element.localName === 'button' ? 'button' : element.localName === 'a' ? 'link' : undefined
}
