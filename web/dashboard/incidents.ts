// What one can do about an incident.
import { signal } from '@preact/signals'
import { fetched } from './api.ts'

const DAY_MS = 864e5

/** Why something could not be done. */
export const trouble = signal('')

export const acknowledge = (id: string): Promise<void> => act(id, 'acknowledge')

/** For a day; without a reason it ends. */
export const snooze = (id: string, reason: string): Promise<void> => act(id, 'snooze', reason ? { until: new Date(Date.now() + DAY_MS).toISOString(), reason } : {})

async function act(id: string, what: string, body?: unknown): Promise<void> {
  try {
    trouble.value = ''
    await fetched(`/api/insights/${id}/${what}`, body, 'POST')
  } catch (error) {
    trouble.value = (error as Error).message
  }
}
