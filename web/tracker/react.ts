import { createContext, createElement, useContext, useEffect, useState, type ReactElement, type ReactNode } from 'react'
import { createTracker, type Options, type Tracker } from './tracker.ts'

const Context = createContext<Tracker | undefined>(undefined)
/** One tracker per page: React may make a component twice, and watching twice would count twice. */
let made: Tracker | undefined
let isIdentified = false

export interface Props extends Options {
  /** Who uses the page, once that is known; the token is what your server signed. Without a user again, as after a logout, the tracker forgets. */
  user?: { id: string; token?: string } | undefined
  children?: ReactNode
}

/** Tracks the page, from when it is first shown until the page is left, and gives the tracker to `useJourneymesh` within. Options count at first. */
export function Journeymesh({ user, children, ...options }: Props): ReactElement {
  const [tracker, keep] = useState<Tracker>()
  const [id, token] = [user?.id, user?.token]
  // In an effect, because a server has no page to track; in one, so that the first page view is the user's.
  useEffect(() => {
    made ??= createTracker(options)
    if (id !== undefined) void made.identify(id, token === undefined ? {} : { token })
    else if (isIdentified) void made.reset()
    isIdentified = id !== undefined
    keep(made)
  }, [id, token])
  return createElement(Context.Provider, { value: tracker }, children)
}

/** The tracker; undefined on the server and until the page is shown. */
export function useJourneymesh(): Tracker | undefined {
  return useContext(Context)
}
