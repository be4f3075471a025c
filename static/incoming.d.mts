/// <reference path="./incoming.d.ts" />
// Types of incoming.mjs: what incoming.d.ts says, for those who import.

declare const library: typeof incoming;
export default library;

export const version: typeof incoming.version;
export const Uploader: typeof incoming.Uploader;
export const set_server_hostname: typeof incoming.set_server_hostname;
export const unfinished: typeof incoming.unfinished;
export const matches: typeof incoming.matches;
export const forget: typeof incoming.forget;

export type Uploader = incoming.Uploader;
export type UploaderProperties = incoming.UploaderProperties;
export type UploaderEvent = incoming.UploaderEvent;
export type UploadError = incoming.UploadError;
export type UnfinishedUpload = incoming.UnfinishedUpload;
export type Callback = incoming.Callback;
export type EventName = incoming.EventName;
export type Transport = incoming.Transport;
export type PauseRequest = incoming.PauseRequest;
