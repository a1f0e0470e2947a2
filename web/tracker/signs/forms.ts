import type { Core } from '../tracker.ts'
import { IGNORED, isA, nameOf, nearest, said } from './elements.ts'

const IDLE_MS = 30 * 60_000
const MOST_FIELDS = 30

type Control = HTMLInputElement | HTMLSelectElement | HTMLTextAreaElement

interface Filling {
  form: string
  began: number
  /** Milliseconds with the focus, by name of the field. */
  fields: Map<string, number>
  last: string
  timer: ReturnType<typeof setTimeout> | undefined
}

/** What a field is refused for, in the server's words. */
const CODES: [keyof ValidityState, string][] = [
  ['valueMissing', 'required'],
  ['typeMismatch', 'invalid_format'],
  ['patternMismatch', 'invalid_format'],
  ['rangeUnderflow', 'out_of_range'],
  ['rangeOverflow', 'out_of_range'],
  ['tooShort', 'too_short'],
  ['tooLong', 'too_long'],
]

/** Records forms that are begun, sent, refused and left: names and times, never what was entered. */
export function watchForms(core: Core): void {
  const fillings = new Map<HTMLFormElement, Filling>()
  let focused: { name: string; at: number } | undefined
  let refusedAt = -Infinity

  const on = (name: string, act: (control: Control, form: HTMLFormElement) => void): void =>
    addEventListener(
      name,
      (event) => {
        const find = nearest(event.composedPath())
        const control = find('input,select,textarea') as Control | null | undefined
        if (control?.form && !find(IGNORED)) act(control, control.form)
      },
      { capture: true, passive: true },
    )

  on('focusin', (control) => (focused = { name: fieldOf(control), at: performance.now() }))

  on('input', (control, form) => {
    const name = fieldOf(control)
    let filling = fillings.get(form)
    if (!filling) {
      filling = { form: formOf(form), began: performance.now(), fields: new Map(), last: name, timer: undefined }
      fillings.set(form, filling)
      void core.record('form_start', { form: filling.form, field: name })
    }
    filling.last = name
    if (filling.fields.size < MOST_FIELDS) filling.fields.set(name, filling.fields.get(name) ?? 0)
    clearTimeout(filling.timer)
    filling.timer = setTimeout(left, IDLE_MS, form)
  })

  on('focusout', (control, form) => {
    const spent = focused?.name === fieldOf(control) ? performance.now() - focused.at : 0
    const fields = fillings.get(form)?.fields
    if (fields?.has(fieldOf(control))) fields.set(fieldOf(control), (fields.get(fieldOf(control)) ?? 0) + spent)
  })

  // The browser refuses each faulty field of a form at once; that is one error.
  on('invalid', (control, form) => {
    if (performance.now() - refusedAt < 50) return
    refusedAt = performance.now()
    const [, code] = CODES.find(([fault]) => control.validity[fault]) ?? ['', 'invalid']
    void core.record('error', { form: formOf(form), field: fieldOf(control), errorCode: code })
  })

  addEventListener(
    'submit',
    ({ target }) => {
      if (!(target instanceof HTMLFormElement) || isA(target, IGNORED)) return
      void core.record('form_submit', { form: formOf(target), ...summary(fillings.get(target)) }, { isUrgent: true })
      forget(target)
    },
    { capture: true, passive: true },
  )

  const leave = (): void => [...fillings.keys()].forEach(left)
  core.onNavigation(leave)
  addEventListener('pagehide', leave, true)

  function left(form: HTMLFormElement): void {
    const filling = fillings.get(form)
    if (!filling) return
    forget(form)
    void core.record('form_abandon', { form: filling.form, lastField: filling.last, ...summary(filling) })
  }

  function forget(form: HTMLFormElement): void {
    clearTimeout(fillings.get(form)?.timer)
    fillings.delete(form)
  }
}

function summary(filling: Filling | undefined): Record<string, unknown> {
  if (!filling) return {}
  const fields = [...filling.fields].map(([name, ms]) => ({ name, seconds: Math.round(ms / 100) / 10 }))
  return { fields, seconds: Math.round((performance.now() - filling.began) / 1000) }
}

function formOf(form: HTMLFormElement): string {
  for (const name of ['data-name', 'id', 'name', 'aria-label']) if (said(form, name)) return said(form, name) as string
  return said(form, 'action')?.split(/[?#]/)[0] || 'form'
}

function fieldOf(control: Control): string {
  return said(control, 'name') || nameOf(control) || control.type
}
