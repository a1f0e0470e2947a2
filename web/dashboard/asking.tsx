// Questions to the gateway, and what a view shows until they are answered.
import type { ComponentChildren } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { fetched, Problem } from './api.ts'

export interface Asked<T> {
  value?: T
  problem?: Problem
  /** Asks again, and keeps what was answered until then. */
  again: () => void
}

/** Asks a route, and again every few seconds while the page is seen. A problem leaves what was answered before. */
export function useAnswer<T>(path: string, body?: unknown, everySeconds?: number): Asked<T> {
  const key = path && JSON.stringify([path, body])
  const [found, setFound] = useState<{ key: string; value?: T; problem?: Problem }>({ key: '' })
  const [turn, setTurn] = useState(0)
  useEffect(() => {
    if (!key) return
    let isGone = false
    let timer = 0
    const ask = async (): Promise<void> => {
      if (!document.hidden) {
        try {
          const value = await fetched<T>(path, body)
          if (!isGone) setFound({ key, value })
        } catch (error) {
          const problem = error instanceof Problem ? error : new Problem(0, '', String(error))
          if (!isGone) setFound((before) => (before.key === key ? { ...before, problem } : { key, problem }))
        }
      }
      if (!isGone && everySeconds) timer = setTimeout(ask, everySeconds * 1000)
    }
    void ask()
    return () => {
      isGone = true
      clearTimeout(timer)
    }
  }, [key, turn, everySeconds])
  const { value, problem } = found.key === key ? found : {}
  return { ...(value === undefined ? {} : { value }), ...(problem ? { problem } : {}), again: () => setTurn(turn + 1) }
}

/** What was answered; until then that it is awaited, or why it did not come. */
export function Answer<T>({ of, children }: { of: Asked<T>; children: (value: T) => ComponentChildren }) {
  if (of.value === undefined) return of.problem ? <Trouble problem={of.problem} again={of.again} /> : <p class="waiting" role="status">Loading…</p>
  return (
    <>
      {of.problem && <p class="stale" role="status">Not up to date: {of.problem.message}</p>}
      {children(of.value)}
    </>
  )
}

function Trouble({ problem, again }: { problem: Problem; again: () => void }) {
  if (problem.status === 401) {
    const here = encodeURIComponent(location.pathname + location.search)
    return (
      <div class="note" role="status">
        <p>This mesh wants to know who you are.</p>
        <p><a class="button" href={`/auth/sign-in?to=${here}`}>Sign in</a></p>
      </div>
    )
  }
  if (problem.status === 403) return <p class="note" role="status">Your roles do not include this view: {problem.message}</p>
  return (
    <div class="note" role="alert">
      <p>{problem.message}{problem.reason && <> <code>{problem.reason}</code></>}</p>
      <p><button type="button" onClick={again}>Try again</button></p>
    </div>
  )
}

/** Says that there is nothing yet, and what brings something. */
export function Empty({ children, command }: { children: ComponentChildren; command?: string }) {
  return (
    <div class="note empty">
      <p>{children}</p>
      {command && <Command text={command} />}
    </div>
  )
}

function Command({ text }: { text: string }) {
  const [isCopied, setCopied] = useState(false)
  const copy = async (): Promise<void> => {
    await navigator.clipboard.writeText(text)
    setCopied(true)
  }
  return (
    <p class="command">
      <code>{text}</code> <button type="button" onClick={copy}>{isCopied ? 'Copied' : 'Copy'}</button>
    </p>
  )
}

export const DEMO = 'make demo'
