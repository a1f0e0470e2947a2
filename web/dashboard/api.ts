// Calls of the gateway. What the answers hold is in answers.ts.
import { signal } from '@preact/signals'

/** Who has signed in; undefined on a mesh without keys, and until a call has asked. */
export interface Person {
  name: string
  roles: string[]
  csrfToken: string
}

export const person = signal<Person | undefined>(undefined)

/** An answer that is no success: the status, the stable reason, and what it says to people. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly reason: string,
    detail: string,
  ) {
    super(detail)
  }
}

/** Calls a route. Whoever has signed in must send a token with everything but reads: it is fetched when the gateway asks for it. */
async function call(method: string, path: string, body?: unknown): Promise<Response> {
  const answer = await send(method, path, body)
  if (answer.status !== 403 || method === 'GET' || (await problem(answer.clone())).reason !== 'CSRF_TOKEN_INVALID') return answer
  const session = await send('GET', '/auth/session')
  if (!session.ok) return answer
  person.value = (await session.json()) as Person
  return send(method, path, body)
}

async function send(method: string, path: string, body?: unknown): Promise<Response> {
  const headers: Record<string, string> = {}
  if (body !== undefined) headers['content-type'] = 'application/json'
  if (method !== 'GET' && person.value) headers['x-journeymesh-csrf'] = person.value.csrfToken
  const init: RequestInit = { method, headers }
  if (body !== undefined) init.body = typeof body === 'string' ? body : JSON.stringify(body)
  try {
    return await fetch(path, init)
  } catch {
    throw new Problem(0, 'UNREACHABLE', 'The gateway does not answer.')
  }
}

async function problem(answer: Response): Promise<Problem> {
  const said = (await answer.json().catch(() => ({}))) as { reason?: string; detail?: string; rejected?: { detail: string }[] }
  const details = [said.detail ?? `The gateway answered ${answer.status}.`, ...(said.rejected ?? []).map(({ detail }) => detail)]
  return new Problem(answer.status, said.reason ?? '', details.join(' '))
}

/** What a route answers. Throws a Problem. */
export async function fetched<T>(path: string, body?: unknown, method = body === undefined ? 'GET' : 'POST'): Promise<T> {
  const answer = await call(method, path, body)
  if (!answer.ok) throw await problem(answer)
  return (answer.status === 204 ? undefined : await answer.json()) as T
}

/** Saves the answer to a question as a file. Throws a Problem. */
export async function save(question: string, body: unknown, format: 'csv' | 'parquet'): Promise<void> {
  const answer = await call('POST', `/api/analytics/${question}/export?format=${format}`, body)
  if (!answer.ok) throw await problem(answer)
  const link = document.createElement('a')
  link.href = URL.createObjectURL(await answer.blob())
  link.download = `${question.split('/')[0]}.${format}`
  link.click()
  URL.revokeObjectURL(link.href)
}

export async function signOut(): Promise<void> {
  await fetched('/auth/sign-out', undefined, 'POST')
  location.reload()
}
