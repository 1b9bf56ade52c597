'use strict';
// From a thrown error to a structured answer (RFC 9457).

const { STATUS_CODES } = require('node:http');

/** The adapter's own refusal of a call that cannot be made. */
class Refusal extends Error {
  name = 'Refusal';

  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/**
 * The status is the error's own `status` or `statusCode` when it is one of an error (400 to 599), else 500. The message
 * of a 5xx error may tell a stranger about the inside, so it goes to the log alone unless the error says `expose`.
 */
function toProblem(error, requestId) {
  const status = [error?.status, error?.statusCode].find(isErrorStatus) ?? 500;
  const isExposed = typeof error?.expose === 'boolean' ? error.expose : status < 500;
  return {
    type: 'about:blank',
    title: STATUS_CODES[status] ?? 'Error',
    status,
    detail: isExposed ? messageOf(error) : 'the function failed; its log says why',
    instance: requestId,
    name: typeof error?.name === 'string' ? error.name : 'Error',
  };
}

function isErrorStatus(status) {
  return Number.isInteger(status) && status >= 400 && status <= 599;
}

function messageOf(error) {
  return typeof error?.message === 'string' ? error.message : String(error);
}

module.exports = { Refusal, toProblem };
