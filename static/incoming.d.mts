/// <reference path="./incoming.d.ts" />
// Types of incoming.mjs: what incoming.d.ts says, for those who import.

declare const library: typeof incoming;
export default library;

export const version: typeof incoming.version;
export const Uploader: typeof incoming.Uploader;
export const set_server_hostname: typeof incoming.set_server_hostname;
export const set_texts: typeof incoming.set_texts;
export const unfinished: typeof incoming.unfinished;
export const list_folder: typeof incoming.list_folder;
export const matches: typeof incoming.matches;
export const forget: typeof incoming.forget;

export type Uploader = incoming.Uploader;
export type UploaderProperties = incoming.UploaderProperties;
export type UploaderEvent = incoming.UploaderEvent;
export type UploadError = incoming.UploadError;
export type UnfinishedUpload = incoming.UnfinishedUpload;
export type Folder = incoming.Folder;
export type Files = incoming.Files;
export type FileOrFolder = incoming.FileOrFolder;
export type PlacedFile = incoming.PlacedFile;
export type Callback = incoming.Callback;
export type State = incoming.State;
export type Reason = incoming.Reason;
export type Texts = incoming.Texts;
export type UploaderOptions = incoming.UploaderOptions;
export type RetryQuestion = incoming.RetryQuestion;
export type EventName = incoming.EventName;
export type Transport = incoming.Transport;
export type PauseRequest = incoming.PauseRequest;
