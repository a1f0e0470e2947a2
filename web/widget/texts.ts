import type { Help } from './help.ts'

/** How help is offered: a chat with people, a tutorial, an e-mail, or a hint. */
export type Kind = 'chat' | 'tutorial' | 'email' | 'tip'

export type Texts = Record<Kind, [title: string, accept: string, decline: string]> & { close: string; reach: string }

const TEXTS: Record<string, Texts> = {
  en: {
    chat: ['Need a hand?', 'Start live chat', 'Maybe later'],
    tutorial: ['A short guide', 'Show me', 'No, thanks'],
    email: ['Help by e-mail', 'Yes, please', 'No, thanks'],
    tip: ['A hint', 'Got it', 'Not now'],
    close: 'Close',
    reach: 'Press F6 to reach it.',
  },
  de: {
    chat: ['Können wir helfen?', 'Chat starten', 'Später vielleicht'],
    tutorial: ['Eine kurze Anleitung', 'Zeigen', 'Nein, danke'],
    email: ['Hilfe per E-Mail', 'Ja, bitte', 'Nein, danke'],
    tip: ['Ein Hinweis', 'Verstanden', 'Jetzt nicht'],
    close: 'Schließen',
    reach: 'F6 führt dorthin.',
  },
  fr: {
    chat: ['Besoin d’aide ?', 'Démarrer le chat', 'Plus tard'],
    tutorial: ['Un petit guide', 'Voir', 'Non merci'],
    email: ['De l’aide par e-mail', 'Oui, volontiers', 'Non merci'],
    tip: ['Une astuce', 'Compris', 'Pas maintenant'],
    close: 'Fermer',
    reach: 'F6 pour y accéder.',
  },
  es: {
    chat: ['¿Necesita ayuda?', 'Iniciar chat', 'Quizás después'],
    tutorial: ['Una guía breve', 'Ver', 'No, gracias'],
    email: ['Ayuda por correo', 'Sí, por favor', 'No, gracias'],
    tip: ['Un consejo', 'Entendido', 'Ahora no'],
    close: 'Cerrar',
    reach: 'Pulse F6 para llegar.',
  },
}

/** The texts in the page's language, else in English; `own` replaces some of them. */
export function textsIn(language: string, own: Partial<Texts> = {}): Texts {
  return { ...(TEXTS[language.slice(0, 2).toLowerCase()] ?? (TEXTS['en'] as Texts)), ...own }
}

export function kindOf({ action, content = [], handledBy }: Help): Kind {
  if (/chat/.test(action) || content.includes('live_chat') || handledBy === 'human') return 'chat'
  if (/e?mail/.test(action)) return 'email'
  if (/tip|hint/.test(action)) return 'tip'
  return content.some((each) => /tutorial|guide/.test(each)) ? 'tutorial' : 'tip'
}
