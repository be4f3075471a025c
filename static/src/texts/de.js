// The sentences for users in German: those of the library and of its queue. Pages give them to `incoming.set_texts`.
//
// Errors of the server have entries here, too. The server itself speaks English.

import { ELEMENT } from './de_element.js';

/** A size as German writes it: "12,6 MB". @param {string} size */
const german = (size) => size.replace('.', ',');

/** @type {import('../../texts/de.mjs').GermanTexts} */
const GERMAN = {
  new: 'Noch nicht gestartet.',
  connecting: 'Verbindung wird aufgebaut.',
  checking: 'Es wird geprüft, ob es dieselbe Datei ist.',
  uploading: 'Wird hochgeladen.',
  paused: 'Angehalten.',
  waiting_for_app: 'Alle Daten sind angekommen. Die App muss die Datei noch annehmen.',
  cancelling: 'Wird abgebrochen.',
  finished: 'Fertig.',
  cancelled: 'Abgebrochen.',
  failed: 'Der Upload ist fehlgeschlagen.',
  disposed: 'Diese Seite lädt die Datei nicht mehr hoch.',

  listing: (files) => `Der Ordner wird gelesen: bisher ${files.toLocaleString()} Dateien.`,
  slow_read: 'Das Lesen der Datei dauert lange: Das Laufwerk antwortet nicht.',
  app_silent: 'Alle Daten sind angekommen, aber die App antwortet noch nicht. Der Server versucht es weiter.',
  app_trouble: () => 'Alle Daten sind angekommen, aber die App konnte die Datei noch nicht annehmen. Der Server versucht es weiter.',
  cancelled_by_user: 'Vom Benutzer abgebrochen.',
  offline: 'Keine Internetverbindung. Der Upload läuft weiter, sobald sie wieder da ist.',

  connection_lost: 'Die Verbindung wurde unterbrochen.',
  no_connection: 'Keine Verbindung zum Server.',
  no_answer: (host) => `Keine Verbindung zum Upload-Server unter ${host}.`,
  server_restarting: 'Der Server wird neu gestartet.',
  server_busy: 'Der Server kann gerade keine Daten annehmen.',
  taken_over: 'Der Upload läuft in einem anderen Fenster weiter.',
  file_unreadable_now: 'Die Datei lässt sich gerade nicht lesen.',
  no_memory: 'Der Browser hat gerade zu wenig Arbeitsspeicher.',
  worker_lost: 'Der Browser hat einen Hintergrundprozess dieser Seite beendet.',
  websockets_blocked: 'Ein Proxy zwischen diesem Gerät und dem Upload-Server blockiert WebSockets.',
  too_many_connections: 'Aus diesem Netz bestehen gerade zu viele Verbindungen zum Upload-Server.',
  http_status: (status) => `Die Adresse des Upload-Servers antwortet mit dem HTTP-Status ${status}.`,
  not_an_upload_server: (host) => `Der Server unter ${host} ist kein Upload-Server, oder er ist überlastet.`,
  trying_again: 'Gleich folgt ein neuer Versuch.',

  file_unreadable: 'Die Datei lässt sich nicht mehr lesen: Sie wurde geändert, verschoben oder gelöscht.',
  file_never_readable: 'Die Datei lässt sich nicht lesen: Sie ist ein Ordner, oder sie wurde geändert, verschoben oder gelöscht.',
  folder_unreadable: 'Eine Datei des Ordners lässt sich nicht mehr lesen: Sie wurde geändert, verschoben oder gelöscht.',
  file_changed: 'Die Datei hat sich geändert, seit sie ausgewählt wurde.',
  invalid_response: 'Der Upload-Server hat eine ungültige Antwort gesendet.',
  bad_address: 'Die Adresse des Upload-Servers lässt sich von dieser Seite aus nicht verwenden.',
  not_taken: 'Die App hat die Datei nicht angenommen.',
  server_too_old: 'Der Upload-Server ist älter als das Skript dieser Seite.',
  gave_up: 'Nach zu langer Zeit ohne Erfolg wurde der Upload aufgegeben.',
  not_retried: 'Ein neuer Versuch folgt nicht.',
  wrong_dest_type: 'Diese Seite hat eine Datei erwartet und keinen Ordner, oder umgekehrt.',
  expected_file: (name, size, changed) => (
    `Begonnen hat der Upload mit „${name}“ (${german(size)}${changed && ', zuletzt geändert: ' + changed}).`),

  unknown_ticket: 'Diesen Upload gibt es nicht, oder er ist schon zu lange zu Ende.',
  bad_message: 'Der Upload-Server hat diese Seite nicht verstanden.',
  bad_chunk: 'Der Upload-Server hat einen Teil der Datei abgelehnt.',
  length_mismatch: 'Das ist nicht die erwartete Datei: Sie hat eine andere Größe.',
  upload_too_large: 'Die Datei ist zu groß.',
  wrong_file: 'Das ist nicht die Datei, mit der der Upload begonnen hat: Sie hat einen anderen Inhalt.',
  expired: 'Der Upload ist abgelaufen, weil er zu lange ruhte. Bitte neu beginnen.',
  handover_failed: 'Die App hat die Datei nicht angenommen.',
  refused: 'Der Upload-Server hat die Datei abgelehnt.',
  bad_folder: 'Dieser Ordner lässt sich nicht hochladen: Ein Pfad oder die Liste seiner Dateien ist nicht erlaubt.',

  // Of the queue.
  no_ticket: 'Der Upload konnte noch nicht beginnen. Gleich folgt ein neuer Versuch.',
  ticket_refused: 'Die App hat die Datei nicht angenommen.',
  not_a_ticket: 'Die App hat eine ungültige Antwort gesendet.',
  too_large: (most) => `Das ist zu groß. Erlaubt sind höchstens ${german(most)}.`,
  too_small: (least) => `Das ist zu klein. Es müssen mindestens ${german(least)} sein.`,
  not_accepted: 'Dateien dieser Art werden nicht angenommen.',
  too_many: (most) => (most === 1 ? 'Nur eine Datei ist erlaubt.' : `Nur ${most} Dateien sind erlaubt.`),
  total_too_large: (most) => `Alle Dateien zusammen sind zu groß. Erlaubt sind höchstens ${german(most)}.`,
  unreadable: 'Die Datei lässt sich nicht lesen.',
  no_files: 'In diesem Ordner sind keine Dateien.',
  duplicate: 'Das steht schon in der Liste.',
  units: ['B', 'kB', 'MB', 'GB', 'TB'],
  per_second: (size) => `${size}/s`,
  seconds: (s) => `${s}\u00a0s`,
  minutes: (min) => `${min}\u00a0min`,
  hours: (h, min) => `${h}\u00a0h\u00a0${min}\u00a0min`,

  element: ELEMENT,
};

export default GERMAN;
