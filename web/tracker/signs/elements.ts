const MOST = 80

/** Whether the page asks not to watch what happens here: `data-journeymesh="ignore"`. */
export function ignored(path: readonly Element[]): boolean {
  return path.some((each) => each.getAttribute('data-journeymesh') === 'ignore')
}

/** What an element is called: as the page names it to us, by its id, its label, or the words on it. Never what was entered. */
export function nameOf(element: Element): string | undefined {
  const said = (name: string): string | null => element.getAttribute(name)
  const isButton = element.matches('input[type=button],input[type=submit],input[type=reset]')
  const text = isButton ? said('value') : element.matches('input,textarea,select') ? '' : element.textContent
  const found = [said('data-name'), element.id, said('aria-label'), said('name'), text, said('title'), said('alt'), element.localName]
  return found.map((each) => each?.trim().replace(/\s+/g, ' ').slice(0, MOST)).find(Boolean)
}

const ROLES: Record<string, string> = { number: 'spinbutton', range: 'slider', checkbox: 'checkbox', radio: 'radio' }

/** The ARIA role of an element, as it is said or as its tag has it. */
export function roleOf(element: Element): string | undefined {
  const said = element.getAttribute('role')
  if (said) return said.slice(0, 64)
  if (element instanceof HTMLInputElement) return ROLES[element.type]
  return element.localName === 'button' ? 'button' : element.localName === 'a' ? 'link' : undefined
}
