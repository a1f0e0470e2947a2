// Which events count, as part of the address: where=page:is:/calculator&where=platform:is_not:web.
import { useState } from 'preact/hooks'
import { changed, go, parameters } from './route.ts'
import { Segments } from './segments.tsx'
import { named } from './words.ts'

export const FIELDS = ['event_type', 'page', 'target', 'platform', 'device_class', 'country', 'error_code', 'video_id'] as const
const COMPARISONS = ['is', 'is_not', 'contains', 'begins_with'] as const

export interface Condition {
  field: string
  comparison: string
  values: string[]
}

/** The conditions of filters. Values of one field that are compared in the same way are joined by "or", unless they are to be absent: the rest by "and". */
export function conditionsOf(filters: readonly string[]): Condition[] {
  const found = new Map<string, Condition>()
  for (const filter of filters) {
    const [field = '', comparison = '', ...rest] = filter.split(':')
    const value = rest.join(':')
    const known = found.get(`${field}:${comparison}`)
    if (known) known.values.push(value)
    else if (value) found.set(`${field}:${comparison}`, { field, comparison, values: [value] })
  }
  return [...found.values()]
}

/** The conditions of the address. */
export const conditions = (): Condition[] => conditionsOf(parameters('where'))

export function Filters({ of }: { of: string }) {
  const [field, setField] = useState<string>('page')
  const [comparison, setComparison] = useState<string>('is')
  const filters = parameters('where')
  const put = (where: string[]): void => go(changed({ where }))
  const add = (event: SubmitEvent): void => {
    event.preventDefault()
    const form = event.currentTarget as HTMLFormElement
    const value = String(new FormData(form).get('value')).trim()
    if (value) put([...new Set([...filters, `${field}:${comparison}:${value}`])])
    form.reset()
  }
  return (
    <section class="card whole filters" aria-label="Filters">
      <form class="find" onSubmit={add}>
        <span>Only {of} where</span>
        <select aria-label="Field" value={field} onChange={(event) => setField(event.currentTarget.value)}>
          {FIELDS.map((each) => <option value={each}>{named(each)}</option>)}
        </select>
        <select aria-label="Comparison" value={comparison} onChange={(event) => setComparison(event.currentTarget.value)}>
          {COMPARISONS.map((each) => <option value={each}>{named(each).toLowerCase()}</option>)}
        </select>
        <input name="value" aria-label="Value" autocomplete="off" required />
        <button>Add the filter</button>
      </form>
      {filters.length > 0 && (
        <ul class="chips">
          {filters.map((filter) => {
            const [name = '', how = '', ...rest] = filter.split(':')
            const text = `${named(name)} ${named(how).toLowerCase()} ${rest.join(':')}`
            return <li><button type="button" aria-label={`Remove the filter: ${text}`} onClick={() => put(filters.filter((each) => each !== filter))}>{text} <span aria-hidden="true">×</span></button></li>
          })}
        </ul>
      )}
      <Segments />
    </section>
  )
}
