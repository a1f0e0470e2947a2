import type { Tracker } from '../tracker/tracker.ts'

interface Decision {
  reasons: string[]
  explanation?: string
  assessment?: { score?: number }
  intervention?: { action: string }
}

const { journeymesh } = window as unknown as { journeymesh: Tracker }
const LEAST = 5000
const MOST = 75_000
const LOOK_MS = 1000
const SHOWN = 3
const USER = 'demo.user'

const user = (sessionStorage[USER] as string | undefined) ?? `demo-${Math.random().toString(36).slice(2, 8)}`
sessionStorage[USER] = user
void journeymesh.identify(user)

const element = <T extends HTMLElement = HTMLElement>(id: string): T => document.getElementById(id) as T
const euros = (amount: number): string => new Intl.NumberFormat('en-IE', { style: 'currency', currency: 'EUR' }).format(amount)

element('user').textContent = user
element('anew').onclick = async () => {
  sessionStorage.removeItem(USER)
  await journeymesh.reset()
  location.reload()
}

element<HTMLFormElement>('loan').onsubmit = (event) => {
  event.preventDefault()
  const data = new FormData(event.target as HTMLFormElement)
  const number = (name: string): number => Number(String(data.get(name)).replace(/[\s,]/g, ''))
  const [amount, months, rate] = [number('amount'), number('years') * 12, number('interest') / 1200]
  const isPossible = amount >= LEAST && amount <= MOST && months > 0 && rate >= 0
  const result = element('result')
  result.classList.toggle('bad', !isPossible)
  if (!isPossible) {
    result.textContent = ''
    result.textContent = 'This loan is not possible.'
    void journeymesh.track('task_failure', { task: 'calculate a loan', errorCode: 'out_of_range' })
    return
  }
  const monthly = rate ? (amount * rate) / (1 - (1 + rate) ** -months) : amount / months
  result.textContent = `${euros(monthly)} a month`
  void journeymesh.track('task_success', { task: 'calculate a loan' })
}

let count = 1
const PRICE = 49
const step = (by: number): void => {
  count = Math.max(1, count + by)
  element('count').textContent = String(count)
  element('total').textContent = euros(count * PRICE)
}
element('less').onclick = () => step(-1)
element('more').onclick = () => step(1)
element('buy').onclick = () => {
  element('bought').textContent = `Thank you! You bought ${count === 1 ? 'a loan check' : `${count} loan checks`}.`
  void journeymesh.track('purchase', { amount: count * PRICE, currency: 'EUR' })
}

addEventListener('journeymesh:accepted', () => element<HTMLDialogElement>('chat').showModal())

/** Shows the last decisions on this user, and why they were made. */
async function look(): Promise<void> {
  if (document.visibilityState === 'visible') {
    const answer = await fetch(`/api/decisions?limit=10&userId=${encodeURIComponent(user)}`)
    if (answer.ok) show(((await answer.json()) as { decisions?: Decision[] }).decisions ?? [])
  }
  setTimeout(look, LOOK_MS)
}

function show(decisions: readonly Decision[]): void {
  // What came before the user had a name was decided on then.
  const own = decisions.filter(({ reasons }) => !reasons.includes('copied_event'))
  element('decisions').replaceChildren(
    ...own.slice(0, SHOWN).map(({ assessment, intervention, explanation }) => {
      const item = document.createElement('li')
      const score = document.createElement('b')
      score.textContent = `Risk ${Math.round(assessment?.score ?? 0)}, ${intervention?.action.replaceAll('_', ' ') ?? 'no help'}. `
      item.append(score, explanation ?? '')
      return item
    }),
  )
}

void look()
