import { createContext, createElement, useContext, useEffect, useState, type ReactElement, type ReactNode } from 'react'
import { createTracker, type Options, type Tracker } from './tracker.ts'

const Context = createContext<Tracker | undefined>(undefined)
/** One tracker per page: React may make a component twice, and watching twice would count twice. */
let made: Tracker | undefined

export interface Props extends Options {
  /** Who uses the page, once that is known; the token is what your server signed. */
  user?: { id: string; token?: string } | undefined
  children?: ReactNode
}

/** Tracks the page, and gives the tracker to `useJourneymesh` within. Options count when it is first shown. */
export function Journeymesh({ user, children, ...options }: Props): ReactElement {
  const [tracker, keep] = useState<Tracker>()
  // In an effect, because a server has no page to track.
  useEffect(() => keep((made ??= createTracker(options))), [])
  const [id, token] = [user?.id, user?.token]
  useEffect(() => {
    if (tracker && id !== undefined) void tracker.identify(id, token === undefined ? {} : { token })
  }, [tracker, id, token])
  return createElement(Context.Provider, { value: tracker }, children)
}

/** The tracker; undefined on the server and until the page is shown. */
export function useJourneymesh(): Tracker | undefined {
  return useContext(Context)
}
