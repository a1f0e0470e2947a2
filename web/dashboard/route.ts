// Where the reader is: everything a view shows follows from its address, so that addresses can be shared.
import { computed, signal } from '@preact/signals'

export const address = signal(new URL(location.href))

/** The page's name; empty for the first. */
export const page = computed(() => address.value.pathname.split('/')[2] ?? '')
export const days = computed(() => Number(parameter('days')) || 7)

export const parameter = (name: string): string => address.value.searchParams.get(name) ?? ''
export const parameters = (name: string): string[] => address.value.searchParams.getAll(name)

/** The address of a page; the number of days goes along. */
export function to(name: string, settings: Record<string, string> = {}): string {
  const kept = parameter('days')
  const query = new URLSearchParams({ ...(kept ? { days: kept } : {}), ...settings }).toString()
  return `/app${name ? `/${name}` : ''}${query ? `?${query}` : ''}`
}

/** This view with other settings; an empty one is left out. */
export function changed(settings: Record<string, string | string[]>): string {
  const url = new URL(address.value)
  for (const [name, values] of Object.entries(settings)) {
    url.searchParams.delete(name)
    for (const value of [values].flat()) if (value) url.searchParams.append(name, value)
  }
  return url.pathname + url.search
}

export function go(path: string): void {
  const isOtherPage = new URL(path, location.href).pathname !== location.pathname
  history.pushState(null, '', path)
  address.value = new URL(location.href)
  if (isOtherPage) scrollTo(0, 0)
}

/** The window of questions: so many days until today, by the reader's clock. */
export function since(count = days.value): { start: string; timeZone: string } {
  const start = new Date()
  start.setHours(0, 0, 0, 0)
  start.setDate(start.getDate() - count + 1)
  return { start: start.toISOString(), timeZone: Intl.DateTimeFormat().resolvedOptions().timeZone }
}

addEventListener('popstate', () => {
  address.value = new URL(location.href)
})

document.addEventListener('click', (event) => {
  const link = event.target instanceof Element && event.target.closest<HTMLAnchorElement>('a[href^="/app"]')
  if (!link || event.defaultPrevented || event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) return
  event.preventDefault()
  go(link.getAttribute('href') ?? '/app')
})
