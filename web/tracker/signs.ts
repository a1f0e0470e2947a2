import { watchClicks } from './signs/clicks.ts'
import { watchErrors } from './signs/errors.ts'
import { watchForms } from './signs/forms.ts'
import { watchVitals } from './signs/vitals.ts'
import type { Part } from './tracker.ts'

/** The part that sees struggle: clicks and their effect, forms, errors; and how fast the page is. */
export const start: Part = (core) => {
  watchClicks(core)
  watchForms(core)
  watchErrors(core)
  watchVitals(core)
}
